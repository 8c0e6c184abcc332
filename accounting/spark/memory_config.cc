#include "accounting/spark/memory_config.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace taskmem {
namespace {

constexpr int64_t kMinPageBytes = int64_t{1} << 20;
constexpr int64_t kMaxPageBytes = int64_t{64} << 20;
// Spark's safety factor: pages stay small enough for each core to have several.
constexpr int64_t kPagesPerCore = 16;

// As Java converts: towards zero, to the nearest number there is, NaN to 0.
int64_t ToLong(double value) {
  if (value != value) return 0;
  if (value >= 0x1p63) return INT64_MAX;
  if (value < -0x1p63) return INT64_MIN;
  return static_cast<int64_t>(value);
}

// The fraction of `bytes` as Spark computes it, in double arithmetic: also where that is
// rounded, never more than `bytes` for a fraction below 1.
int64_t Part(int64_t bytes, double fraction) {
  return ToLong(static_cast<double>(bytes) * fraction);
}

// As Java's ceil and toLong; here no mathematics library is needed.
int64_t CeilToLong(double value) {
  const int64_t whole = ToLong(value);
  return whole < INT64_MAX && static_cast<double>(whole) < value ? whole + 1 : whole;
}

// As Java's long arithmetic: modulo 2^64.
int64_t WrappingDifference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

// The text Java gives a double: as few digits as identify it, but one after the point.
struct JavaDoubleText {
  explicit JavaDoubleText(double value);
  char text[32];
};

JavaDoubleText::JavaDoubleText(double value) {
  if (!std::isfinite(value)) {
    snprintf(text, sizeof(text), "%s",
             value != value ? "NaN"
             : value < 0    ? "-Infinity"
                            : "Infinity");
    return;
  }
  // Digits and exponent are taken from the C library's text, whose point may be another
  // character.
  char scientific[40];
  int precision = 1;
  do {
    snprintf(scientific, sizeof(scientific), "%.*e", precision, value);
  } while (strtod(scientific, nullptr) != value && ++precision < 17);
  char digits[20];
  int count = 0;
  const char* at = scientific;
  for (; *at != 'e'; ++at) {
    if (*at >= '0' && *at <= '9') digits[count++] = *at;
  }
  int exponent = atoi(at + 1);
  while (count > 1 && digits[count - 1] == '0') --count;

  char* out = text;
  if (std::signbit(value)) *out++ = '-';
  const auto put = [&](int from, int to) {  // the digits in between, 0 where there is none
    for (int i = from; i < to; ++i) *out++ = i >= 0 && i < count ? digits[i] : '0';
  };
  const bool is_plain = value == 0 || (exponent >= -3 && exponent < 7);
  const int point = is_plain ? exponent + 1 : 1;  // so many digits stand before it
  put(std::min(point - 1, 0), point);
  *out++ = '.';
  put(point, std::max(count, point + 1));
  *out = '\0';
  if (!is_plain) snprintf(out, static_cast<size_t>(text + sizeof(text) - out), "E%d", exponent);
}

MemoryError CheckStorageFraction(double fraction) {
  if (fraction >= 0 && fraction < 1) return {};
  return MemoryError(ErrorCode::kInvalidStorageFraction, JavaDoubleText(fraction).text);
}

int AvailableProcessors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  const long online = sysconf(_SC_NPROCESSORS_ONLN);  // more processors than a set holds
  return online > 0 ? static_cast<int>(online) : 1;
}

}  // namespace

Result<HeapSizes> SizesFromSettings(const HeapSettings& settings) {
  const int64_t minimum = CeilToLong(static_cast<double>(settings.reserved_bytes) * 1.5);
  if (settings.system_memory_bytes < minimum) {
    return MemoryError(ErrorCode::kSystemMemoryTooSmall, settings.system_memory_bytes, minimum);
  }
  if (settings.executor_memory_bytes != -1 && settings.executor_memory_bytes < minimum) {
    return MemoryError(ErrorCode::kExecutorMemoryTooSmall, settings.executor_memory_bytes, minimum);
  }
  if (const MemoryError error = CheckStorageFraction(settings.storage_fraction)) return error;
  const int64_t usable = WrappingDifference(settings.system_memory_bytes, settings.reserved_bytes);
  HeapSizes sizes = {};
  sizes.max_heap_bytes = Part(usable, settings.memory_fraction);
  sizes.storage_region_bytes = Part(sizes.max_heap_bytes, settings.storage_fraction);
  return sizes;
}

MemoryError ApplyOffHeapSettings(const OffHeapSettings& settings, MemoryManagerOptions* options) {
  if (settings.size_bytes < 0) {
    return MemoryError(ErrorCode::kNegativeOffHeapSize, settings.size_bytes);
  }
  if (const MemoryError error = CheckStorageFraction(settings.storage_fraction)) return error;
  if (settings.enabled && settings.size_bytes == 0) {
    return MemoryError(ErrorCode::kOffHeapSizeRequired);
  }
  options->max_off_heap_bytes = settings.size_bytes;
  options->off_heap_storage_region_bytes = Part(settings.size_bytes, settings.storage_fraction);
  options->tungsten_mode = settings.enabled ? MemoryMode::kOffHeap : MemoryMode::kOnHeap;
  return {};
}

int64_t DefaultPageSizeBytes(const MemoryManagerOptions& options, int cores,
                             int64_t array_header_bytes) {
  const bool is_on_heap = options.tungsten_mode == MemoryMode::kOnHeap;
  const int64_t execution_bytes =
      is_on_heap ? options.max_heap_bytes - options.on_heap_storage_region_bytes
                 : options.max_off_heap_bytes - options.off_heap_storage_region_bytes;
  const int64_t share =
      execution_bytes / (cores > 0 ? cores : AvailableProcessors()) / kPagesPerCore;
  const int64_t bounded = std::clamp(share, kMinPageBytes, kMaxPageBytes);
  const auto chosen = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(bounded)));
  return is_on_heap ? chosen - array_header_bytes : chosen;
}

}  // namespace taskmem
