// Whom a task may ask to spill, and in which order: the smallest consumer that is large
// enough, else the largest, the requester last (TMM-3, TMM-4).
#ifndef TASKMEM_ACCOUNTING_TASKS_SPILL_CANDIDATES_H_
#define TASKMEM_ACCOUNTING_TASKS_SPILL_CANDIDATES_H_

#include <cstddef>
#include <cstdint>

#include "accounting/base/kernel_memory.h"
#include "accounting/memory/memory_error.h"

namespace taskmem {

// A consumer as it was when an acquisition found too little. Names it by number, for it
// may leave at any time.
struct SpillCandidate {
  int64_t key;      // the bytes it used then; 0: the requester itself
  uint64_t number;  // MemoryConsumer's
  int spills;
  int fruitless_spills;  // in a row
  bool is_dropped;       // not asked again
};

// Whether a consumer of `key` bytes is at least as good as one of `other` to ask for
// `bytes`. Of equals, the one that was added last is asked.
constexpr bool IsAsGoodToSpill(int64_t key, int64_t other, int64_t bytes) {
  const bool is_enough = key >= bytes;
  if (is_enough != (other >= bytes)) return is_enough;
  return is_enough ? key <= other : key >= other;
}

// A snapshot, in the order in which the consumers were listed. A few lie in place, more
// in a mapping. Not thread-safe.
class SpillCandidates {
 public:
  SpillCandidates() = default;
  SpillCandidates(const SpillCandidates&) = delete;
  SpillCandidates& operator=(const SpillCandidates&) = delete;
  ~SpillCandidates() {
    if (mapped_ != nullptr) Unmap(mapped_, capacity_ * sizeof(SpillCandidate));
  }

  // Only while it is empty. False: no memory.
  bool Reserve(size_t capacity) {
    void* const mapped = MapZeroed(capacity * sizeof(SpillCandidate));
    if (mapped == nullptr) return false;
    if (mapped_ != nullptr) Unmap(mapped_, capacity_ * sizeof(SpillCandidate));
    mapped_ = static_cast<SpillCandidate*>(mapped);
    capacity_ = capacity;
    return true;
  }
  // Only while it is not full.
  void Add(int64_t key, uint64_t number) { begin()[size_++] = {key, number, 0, 0, false}; }

  size_t capacity() const { return capacity_; }
  bool IsFull() const { return size_ == capacity_; }
  SpillCandidate* begin() { return mapped_ != nullptr ? mapped_ : in_place_; }
  SpillCandidate* end() { return begin() + size_; }

 private:
  static constexpr size_t kInPlace = 32;

  SpillCandidate in_place_[kInPlace];
  SpillCandidate* mapped_ = nullptr;
  size_t capacity_ = kInPlace;
  size_t size_ = 0;
};

// What a consumer said that was asked to spill.
struct SpillAnswer {
  SpillCandidate* candidate = nullptr;
  int64_t freed = 0;
  MemoryError error;
};

// `bytes` (> 0), doubled `times` times, or as much as there is.
constexpr int64_t Doubled(int64_t bytes, int times) {
  return times >= 63 || bytes > INT64_MAX >> times ? INT64_MAX : bytes << times;
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_TASKS_SPILL_CANDIDATES_H_
