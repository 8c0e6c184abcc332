// How often in a row a thread was refused memory. Some programs retry for ever, with one
// request or with several in turn, with malloc or with mmap; the policy gives in to them after
// a while (limit_policy.h).
//
// A refusal counts against a later request of the thread, by whichever call and of whichever
// size, until the thread has been given at least as much as the smaller of the two asked for.
// So neither another size, another call nor the success of something smaller makes it
// forgotten, and a program that gets on is not counted against.
#ifndef TASKMEM_SPILL_RECLAIM_REFUSAL_STREAK_H_
#define TASKMEM_SPILL_RECLAIM_REFUSAL_STREAK_H_

#include <atomic>
#include <cstdint>

namespace taskmem {

// Of one thread, which alone uses it. Zero bytes are an empty one. A signal handler that
// interrupts a change changes nothing.
class RefusalStreak {
 public:
  bool IsEmpty() const { return entries_ == 0; }

  // How many refusals count against a request of `bytes`.
  uint64_t Refusals(uint64_t bytes) const {
    uint64_t refusals = 0;
    for (uint32_t i = 0; i < entries_; ++i) {
      if (bytes > refused_[i].given_bytes) refusals += refused_[i].refusals;
    }
    return refusals;
  }

  void NoteRefusal(uint64_t bytes) {
    const Change change(*this);
    if (!change.is_first()) return;
    // A request of nothing asks for something as well.
    Add({bytes != 0 ? bytes : 1, 0, 1});
  }

  // The thread was given `bytes`.
  void NoteSuccess(uint64_t bytes) {
    const Change change(*this);
    if (!change.is_first()) return;
    const uint32_t before = entries_;
    entries_ = 0;
    for (uint32_t i = 0; i < before; ++i) {
      Refused refused = refused_[i];
      if (refused.bytes <= bytes) continue;
      if (refused.given_bytes < bytes) refused.given_bytes = bytes;
      Add(refused);
    }
  }

  void Clear() {
    const Change change(*this);
    if (change.is_first()) entries_ = 0;
  }

 private:
  class Change {
   public:
    explicit Change(RefusalStreak& streak) : streak_(streak), is_first_(!streak.is_changing_) {
      streak_.is_changing_ = true;
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    ~Change() {
      std::atomic_signal_fence(std::memory_order_seq_cst);
      if (is_first_) streak_.is_changing_ = false;
    }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    bool is_first() const { return is_first_; }

   private:
    RefusalStreak& streak_;
    const bool is_first_;
  };

  // Refusals of one size, and the most that was given since, which is less.
  struct Refused {
    uint64_t bytes;
    uint64_t given_bytes;
    uint64_t refusals;
  };
  // More than programs try in turn. Where there are more, those of sizes that lie close
  // together count as the larger of them.
  static constexpr uint32_t kMostEntries = 8;

  void Add(const Refused& added) {
    for (uint32_t i = 0; i < entries_; ++i) {
      if (refused_[i].bytes == added.bytes && refused_[i].given_bytes == added.given_bytes) {
        refused_[i].refusals += added.refusals;
        return;
      }
    }
    if (entries_ == kMostEntries) MergeClosest();
    refused_[entries_++] = added;
  }

  void MergeClosest() {
    uint32_t first = 0;
    uint32_t second = 1;
    for (uint32_t i = 0; i < kMostEntries; ++i) {
      for (uint32_t j = i + 1; j < kMostEntries; ++j) {
        if (Distance(i, j) < Distance(first, second)) {
          first = i;
          second = j;
        }
      }
    }
    Refused& into = refused_[first];
    const Refused& from = refused_[second];
    if (into.bytes < from.bytes) into.bytes = from.bytes;
    if (into.given_bytes > from.given_bytes) into.given_bytes = from.given_bytes;
    into.refusals += from.refusals;
    refused_[second] = refused_[--entries_];
  }
  uint64_t Distance(uint32_t i, uint32_t j) const {
    const uint64_t a = refused_[i].bytes;
    const uint64_t b = refused_[j].bytes;
    return a < b ? b - a : a - b;
  }

  uint32_t entries_ = 0;
  bool is_changing_ = false;
  Refused refused_[kMostEntries] = {};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_RECLAIM_REFUSAL_STREAK_H_
