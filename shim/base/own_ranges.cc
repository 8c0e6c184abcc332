#include "shim/base/own_ranges.h"

namespace taskmem {

OwnRange g_own_ranges[kMaxOwnRanges];
std::atomic<uint32_t> g_own_range_count{0};

namespace {

// An entry's end: free, being filled in (no range ends there), or an end.
constexpr uint64_t kFree = 0;
constexpr uint64_t kFilling = 1;

// Entries whose range may be forgotten: these never grow.
std::atomic<uint8_t> g_may_pass[kMaxOwnRanges];

uint32_t Listed() {
  const uint32_t count = g_own_range_count.load(std::memory_order_acquire);
  return count < kMaxOwnRanges ? count : kMaxOwnRanges;
}

bool FillIn(uint32_t index, uint64_t start, uint64_t end, bool may_pass) {
  OwnRange& range = g_own_ranges[index];
  uint64_t expected = kFree;
  if (!range.end.compare_exchange_strong(expected, kFilling, std::memory_order_acq_rel)) {
    return false;
  }
  g_may_pass[index].store(may_pass ? 1 : 0, std::memory_order_relaxed);
  range.start.store(start, std::memory_order_relaxed);
  range.end.store(end, std::memory_order_release);
  return true;
}

void Append(uint64_t start, uint64_t end, bool may_pass) {
  uint32_t index = g_own_range_count.load(std::memory_order_relaxed);
  do {
    if (index >= kMaxOwnRanges) return;
  } while (!g_own_range_count.compare_exchange_weak(index, index + 1) ||
           !FillIn(index, start, end, may_pass));
}

}  // namespace

void NoteOwnRange(const void* memory, size_t bytes) {
  const auto start = reinterpret_cast<uint64_t>(memory);
  // The kernel maps downwards: most often the new range lies before the last one.
  const uint32_t count = Listed();
  if (count > 0 && g_may_pass[count - 1].load(std::memory_order_relaxed) == 0) {
    OwnRange& last = g_own_ranges[count - 1];
    uint64_t expected = start + bytes;
    if (last.end.load(std::memory_order_acquire) > kFilling &&
        last.start.compare_exchange_strong(expected, start, std::memory_order_acq_rel)) {
      return;
    }
  }
  Append(start, start + bytes, false);
}

void NotePassingRange(const void* memory, size_t bytes) {
  const auto start = reinterpret_cast<uint64_t>(memory);
  const uint32_t count = Listed();
  for (uint32_t i = 0; i < count; ++i) {
    if (g_may_pass[i].load(std::memory_order_relaxed) != 0 &&
        FillIn(i, start, start + bytes, true)) {
      return;
    }
  }
  Append(start, start + bytes, true);
}

void ForgetOwnRange(const void* memory, size_t bytes) {
  const auto start = reinterpret_cast<uint64_t>(memory);
  const uint32_t count = Listed();
  for (uint32_t i = 0; i < count; ++i) {
    if (g_may_pass[i].load(std::memory_order_relaxed) == 0 ||
        g_own_ranges[i].start.load(std::memory_order_relaxed) != start) {
      continue;
    }
    uint64_t expected = start + bytes;
    if (g_own_ranges[i].end.compare_exchange_strong(expected, kFree, std::memory_order_acq_rel)) {
      return;
    }
  }
}

}  // namespace taskmem
