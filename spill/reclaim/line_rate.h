// How many lines of one kind go to the log: some at once, and then one in a while, whatever a
// program does.
#ifndef TASKMEM_SPILL_RECLAIM_LINE_RATE_H_
#define TASKMEM_SPILL_RECLAIM_LINE_RATE_H_

#include <atomic>
#include <cstdint>

namespace taskmem {

// Used by all threads at once, without a lock.
class LineRate {
 public:
  // `burst` lines at once, one more for each `interval_ns` that has passed.
  constexpr LineRate(uint64_t burst, uint64_t interval_ns)
      : ahead_ns_((burst - 1) * interval_ns), interval_ns_(interval_ns) {}

  // Whether a line may be written at `now_ns`, which then counts as written.
  bool Allows(uint64_t now_ns) {
    uint64_t paid_until = paid_until_ns_.load(std::memory_order_relaxed);
    for (;;) {
      const uint64_t from = paid_until > now_ns ? paid_until : now_ns;
      if (from - now_ns > ahead_ns_) return false;
      if (paid_until_ns_.compare_exchange_weak(paid_until, from + interval_ns_,
                                               std::memory_order_relaxed)) {
        return true;
      }
    }
  }

 private:
  const uint64_t ahead_ns_;
  const uint64_t interval_ns_;
  // What has been written would have taken until then at one line for each interval.
  std::atomic<uint64_t> paid_until_ns_{0};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_RECLAIM_LINE_RATE_H_
