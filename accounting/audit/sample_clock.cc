#include "accounting/audit/sample_clock.h"

namespace taskmem {
namespace {

constexpr double kLn2 = 0.693147180559945309417;

// ln(x) for x in (0, 1]; the preload library has no libm.
double NaturalLog(double x) {
  int exponent = 0;
  while (x < 0.70710678) {
    x *= 2;
    --exponent;
  }
  // 2 artanh((x - 1) / (x + 1)); the argument is within 0.172.
  const double t = (x - 1) / (x + 1);
  const double square = t * t;
  double sum = 0;
  double power = t;
  for (int i = 1; i < 18; i += 2) {
    sum += power / i;
    power *= square;
  }
  return 2 * sum + exponent * kLn2;
}

// 1 - exp(-x) for x >= 0, without loss for small x.
double OneMinusExp(double x) {
  if (x > 40) return 1;
  int halvings = 0;
  while (x > 0.25) {
    x /= 2;
    ++halvings;
  }
  double sum = 0;
  double term = x;
  for (int i = 2; i < 14; ++i) {
    sum += term;
    term *= -x / i;
  }
  // 1 - exp(-2y) = (1 - exp(-y)) (2 - (1 - exp(-y)))
  for (; halvings > 0; --halvings) sum *= 2 - sum;
  return sum;
}

}  // namespace

uint64_t SampleWeight(uint64_t bytes, uint64_t interval) {
  if (bytes == 0) return interval;
  const double size = static_cast<double>(bytes);
  const double weight = size / OneMinusExp(size / static_cast<double>(interval));
  const auto rounded = static_cast<uint64_t>(weight + 0.5);
  return rounded < bytes ? bytes : rounded;
}

void SampleClock::Start(uint64_t interval_bytes, uint64_t seed) {
  interval_bytes_ = interval_bytes;
  random_ = seed;
  last_ns_ = 0;
  usual_cost_ns_ = 0;
  doublings_ = 0;
  Draw();
}

// splitmix64
uint64_t SampleClock::Random() {
  uint64_t z = (random_ += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

void SampleClock::Draw() {
  const double uniform = static_cast<double>((Random() >> 11) + 1) * 0x1p-53;  // (0, 1]
  left_bytes_ = static_cast<uint64_t>(-NaturalLog(uniform) * static_cast<double>(interval_bytes()));
}

void SampleClock::Adapt(uint64_t now_ns, uint64_t cost_ns) {
  // Distances are exponentially distributed: with these two the interval comes to rest where
  // samples take 1/40 of the time. Below that all are needed: a leak of 50 MiB in small blocks is
  // 100 samples, and its estimate is off by a tenth.
  constexpr uint64_t kTooOften = 8;
  constexpr uint64_t kSeldom = 64;
  // The first of a stack takes many times longer, and so does one the scheduler interrupts.
  constexpr uint64_t kFirstGuessNs = 1000;
  constexpr uint64_t kMostTimes = 4;
  if (usual_cost_ns_ == 0) usual_cost_ns_ = kFirstGuessNs;
  const uint64_t most = usual_cost_ns_ * kMostTimes;
  usual_cost_ns_ = (usual_cost_ns_ * 15 + (cost_ns < most ? cost_ns : most)) / 16 + 1;
  const uint64_t since = now_ns - last_ns_;
  last_ns_ = now_ns;
  if (since < usual_cost_ns_ * kTooOften) {
    if (doublings_ < kMostDoublings) ++doublings_;
  } else if (since > usual_cost_ns_ * kSeldom && doublings_ > 0) {
    --doublings_;
  }
}

namespace {

// Two steps for a factor of 2, so that 31 of them are more than any weight needs.
constexpr double kScaleStep = 1.4142135623730951;
constexpr uint8_t kMostScale = 31;

}  // namespace

uint8_t ScaleOf(uint64_t bytes, uint64_t weight, uint64_t random) {
  const double times = static_cast<double>(weight) / static_cast<double>(bytes);
  double below = 1;
  uint8_t scale = 0;
  for (; scale < kMostScale && below * kScaleStep <= times; ++scale) below *= kScaleStep;
  const double part = (times - below) / (below * (kScaleStep - 1));
  const double chance = static_cast<double>(random >> 11) * 0x1p-53;
  return scale < kMostScale && chance < part ? static_cast<uint8_t>(scale + 1) : scale;
}

double TimesOf(uint8_t scale) {
  double times = 1;
  for (uint8_t i = 0; i < scale && i < kMostScale; ++i) times *= kScaleStep;
  return times;
}

}  // namespace taskmem
