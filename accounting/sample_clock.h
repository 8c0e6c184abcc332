// When the next allocation is sampled: after a number of allocated bytes drawn from an
// exponential distribution, so that every allocated byte has the same chance and no rhythm of
// the program can hide from it.
//
//   a block of b bytes is sampled with the chance  p = 1 - exp(-b / interval)
//   and stands for                                 b / p bytes
//
// which is right on average whatever the sizes and the interval are. One clock per thread.
#ifndef TASKMEM_ACCOUNTING_SAMPLE_CLOCK_H_
#define TASKMEM_ACCOUNTING_SAMPLE_CLOCK_H_

#include <cstdint>

namespace taskmem {

// What a sampled block of `bytes` stands for, at least `bytes`. `interval` is above 0.
uint64_t SampleWeight(uint64_t bytes, uint64_t interval);

class SampleClock {
 public:
  static constexpr uint32_t kMostDoublings = 10;

  // Begins to count. `seed` differs from thread to thread.
  void Start(uint64_t interval_bytes, uint64_t seed);
  // Never says that a sample is due.
  void Stop() {
    interval_bytes_ = 1;
    left_bytes_ = UINT64_MAX;
  }
  bool IsStarted() const { return interval_bytes_ != 0; }

  // Counts `bytes` that are being allocated. True: the sample falls among them.
  bool Count(uint64_t bytes) {
    if (bytes < left_bytes_) {
      left_bytes_ -= bytes;
      return false;
    }
    return true;
  }
  // Where Count said true: how many bytes lie before the sampled one.
  uint64_t left_bytes() const { return left_bytes_; }
  // After a sample was taken, or given up.
  void Draw();

  // The interval in use: what was asked for, doubled while samples come too often.
  uint64_t interval_bytes() const { return interval_bytes_ << doublings_; }
  uint32_t doublings() const { return doublings_; }

  // A sample took `cost_ns` and ended at `now_ns`: where samples take more than some 2.5 %
  // of the time between them, the next ones are rarer.
  void Adapt(uint64_t now_ns, uint64_t cost_ns);

 private:
  uint64_t Random();

  uint64_t left_bytes_;
  uint64_t interval_bytes_;
  uint64_t random_;
  uint64_t last_ns_;
  uint64_t usual_cost_ns_;
  uint32_t doublings_;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_SAMPLE_CLOCK_H_
