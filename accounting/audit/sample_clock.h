// When the next allocation is sampled: after a number of allocated bytes drawn from an
// exponential distribution, so that every allocated byte has the same chance and no rhythm of
// the program can hide from it.
//
//   a block of b bytes is sampled with the chance  p = 1 - exp(-b / interval)
//   and stands for                                 b / p bytes
//
// which is right on average whatever the sizes and the interval are. One clock per thread.
#ifndef TASKMEM_ACCOUNTING_AUDIT_SAMPLE_CLOCK_H_
#define TASKMEM_ACCOUNTING_AUDIT_SAMPLE_CLOCK_H_

#include <cstdint>

namespace taskmem {

// What a sampled block of `bytes` stands for, at least `bytes`. `interval` is above 0.
uint64_t SampleWeight(uint64_t bytes, uint64_t interval);

// weight / bytes as a number below 32, for who has no room for more: right on average, as it is
// rounded up or down by chance. `random`: any of 64 bits. `bytes` is above 0, `weight` at least
// that.
uint8_t ScaleOf(uint64_t bytes, uint64_t weight, uint64_t random);
// What a scale stands for: at least 1, and 1 where the scale is 0.
double TimesOf(uint8_t scale);

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

// Whether blocks that are worth a sample each still get one. Who takes very many of them, and
// gives them back, would spend much of the time on that: then the clock decides for a while.
class SampleBudget {
 public:
  static constexpr uint32_t kSamples = 512;
  static constexpr uint64_t kWithinNs = 40'000'000;

  // One such block is allocated. `now_ns` is called seldom.
  bool Allows(uint64_t (*now_ns)()) {
    if (__builtin_expect(count_ < kSamples, 1)) {
      ++count_;
      return true;
    }
    if (passed_++ % kBetweenLooks != 0) return false;
    const uint64_t now = now_ns();
    if (now - since_ns_ < kWithinNs) return false;
    since_ns_ = now;
    count_ = 1;
    passed_ = 0;
    return true;
  }

 private:
  static constexpr uint32_t kBetweenLooks = 64;

  uint64_t since_ns_;
  uint32_t count_;
  uint32_t passed_;  // blocks that got none
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_SAMPLE_CLOCK_H_
