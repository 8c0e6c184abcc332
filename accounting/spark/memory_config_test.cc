#include "accounting/spark/memory_config.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <cmath>
#include <limits>
#include <string>

namespace taskmem {
namespace {

HeapSettings SmallHeap() {
  HeapSettings settings;
  settings.system_memory_bytes = 1 << 20;
  settings.reserved_bytes = 300 << 10;
  settings.memory_fraction = 0.8;
  return settings;
}

void ExpectSizes(const HeapSettings& settings, int64_t max_heap, int64_t region) {
  const Result<HeapSizes> sizes = SizesFromSettings(settings);
  ASSERT_TRUE(sizes.ok());
  EXPECT_EQ((*sizes).max_heap_bytes, max_heap);
  EXPECT_EQ((*sizes).storage_region_bytes, region);
}

void ExpectRefused(const HeapSettings& settings, ErrorCode code, int64_t requested,
                   int64_t received) {
  const Result<HeapSizes> sizes = SizesFromSettings(settings);
  EXPECT_EQ(sizes.error().code, code);
  EXPECT_EQ(sizes.error().requested, requested);
  EXPECT_EQ(sizes.error().received, received);
}

TEST(HeapSizes, DefaultsAreSparks) {
  HeapSettings settings;
  settings.system_memory_bytes = 1 << 30;
  ExpectSizes(settings, 455501414, 227750707);
}

TEST(HeapSizes, U6SmallHeap) {
  HeapSettings settings = SmallHeap();
  ExpectSizes(settings, 593100, 296550);
  settings.system_memory_bytes = 150 << 10;
  ExpectRefused(settings, ErrorCode::kSystemMemoryTooSmall, 153600, 460800);
}

TEST(HeapSizes, U7InsufficientExecutorMemory) {
  HeapSettings settings = SmallHeap();
  settings.executor_memory_bytes = 150 << 10;
  ExpectRefused(settings, ErrorCode::kExecutorMemoryTooSmall, 153600, 460800);
  settings.executor_memory_bytes = 460800;
  ExpectSizes(settings, 593100, 296550);
}

// SPARK-58513 would name the executor's heap; Spark 4.2.0 does not.
TEST(HeapSizes, U8TooSmallHeapOfAnExecutor) {
  HeapSettings settings = SmallHeap();
  settings.system_memory_bytes = 400 << 10;
  settings.executor_memory_bytes = 500 << 10;
  ExpectRefused(settings, ErrorCode::kSystemMemoryTooSmall, 409600, 460800);
}

TEST(HeapSizes, MinimumIsRoundedUp) {
  HeapSettings settings = SmallHeap();
  settings.memory_fraction = 0.6;
  settings.reserved_bytes = 3;
  settings.system_memory_bytes = 4;
  ExpectRefused(settings, ErrorCode::kSystemMemoryTooSmall, 4, 5);
  settings.system_memory_bytes = 5;
  ExpectSizes(settings, 1, 0);
  settings.reserved_bytes = kReservedSystemMemoryBytes;
  settings.system_memory_bytes = 471859199;
  ExpectRefused(settings, ErrorCode::kSystemMemoryTooSmall, 471859199, 471859200);
}

TEST(HeapSizes, MemoryFractionIsNotChecked) {
  HeapSettings settings;
  settings.system_memory_bytes = 1048576000;
  settings.memory_fraction = 1.1;
  ExpectSizes(settings, 807403520, 403701760);
  settings.memory_fraction = -0.1;
  ExpectSizes(settings, -73400320, -36700160);
  settings.memory_fraction = 1e300;
  ExpectSizes(settings, INT64_MAX, int64_t{1} << 62);
}

// double(2^63 - 1) is 2^63: the product is what Java's is, not what integers would give.
TEST(HeapSizes, RoundsAsDoublesDo) {
  HeapSettings settings;
  settings.reserved_bytes = 0;
  settings.system_memory_bytes = INT64_MAX;
  settings.memory_fraction = 1;
  settings.storage_fraction = std::nextafter(1.0, 0.0);
  ExpectSizes(settings, INT64_MAX, INT64_MAX - 1023);
  settings.system_memory_bytes = (int64_t{1} << 53) + 1;
  settings.storage_fraction = 0;
  ExpectSizes(settings, int64_t{1} << 53, 0);
}

TEST(HeapSizes, ExtremeReservesAreNotUndefined) {
  HeapSettings settings;
  settings.reserved_bytes = INT64_MAX;
  settings.system_memory_bytes = INT64_MAX - 1;
  ExpectRefused(settings, ErrorCode::kSystemMemoryTooSmall, INT64_MAX - 1, INT64_MAX);
  settings.reserved_bytes = INT64_MIN;
  settings.system_memory_bytes = INT64_MAX;
  settings.memory_fraction = 1;
  ExpectSizes(settings, -1, 0);
}

TEST(HeapSizes, HalfABytesRegionIsNone) {
  HeapSettings settings;
  settings.reserved_bytes = 0;
  settings.system_memory_bytes = 1;
  settings.memory_fraction = 1;
  ExpectSizes(settings, 1, 0);
}

std::string RefusedFraction(double fraction) {
  HeapSettings settings;
  settings.system_memory_bytes = 1 << 30;
  settings.storage_fraction = fraction;
  const Result<HeapSizes> sizes = SizesFromSettings(settings);
  if (sizes.error().code != ErrorCode::kInvalidStorageFraction) return "accepted";
  return sizes.error().detail;
}

TEST(StorageFraction, IsInZeroToOne) {
  EXPECT_EQ(RefusedFraction(0), "accepted");
  EXPECT_EQ(RefusedFraction(0.999), "accepted");
  EXPECT_EQ(RefusedFraction(-0.0), "accepted");
  EXPECT_EQ(RefusedFraction(1), "1.0");
  EXPECT_EQ(RefusedFraction(-0.1), "-0.1");
}

TEST(StorageFraction, IsShownAsJavaPrintsIt) {
  EXPECT_EQ(RefusedFraction(1.5), "1.5");
  EXPECT_EQ(RefusedFraction(1.0 / 3 + 1), "1.3333333333333333");
  EXPECT_EQ(RefusedFraction(100), "100.0");
  EXPECT_EQ(RefusedFraction(1234567.5), "1234567.5");
  EXPECT_EQ(RefusedFraction(9999999), "9999999.0");
  EXPECT_EQ(RefusedFraction(1e7), "1.0E7");
  EXPECT_EQ(RefusedFraction(12345678.9), "1.23456789E7");
  EXPECT_EQ(RefusedFraction(-0.25), "-0.25");
  EXPECT_EQ(RefusedFraction(-0.01), "-0.01");
  EXPECT_EQ(RefusedFraction(-0.001), "-0.001");
  EXPECT_EQ(RefusedFraction(-0.00025), "-2.5E-4");
  EXPECT_EQ(RefusedFraction(-4.9e-324), "-4.9E-324");
  EXPECT_EQ(RefusedFraction(1.7976931348623157e308), "1.7976931348623157E308");
  EXPECT_EQ(RefusedFraction(std::numeric_limits<double>::infinity()), "Infinity");
  EXPECT_EQ(RefusedFraction(-std::numeric_limits<double>::infinity()), "-Infinity");
  EXPECT_EQ(RefusedFraction(std::numeric_limits<double>::quiet_NaN()), "NaN");
}

TEST(StorageFraction, IsCheckedAfterTheSizes) {
  HeapSettings settings = SmallHeap();
  settings.storage_fraction = 1;
  settings.system_memory_bytes = 1;
  ExpectRefused(settings, ErrorCode::kSystemMemoryTooSmall, 1, 460800);
}

TEST(OffHeap, FillsSizesAndMode) {
  MemoryManagerOptions options;
  ASSERT_FALSE(ApplyOffHeapSettings({.enabled = false, .size_bytes = 1001, .storage_fraction = 0.3},
                                    &options));
  EXPECT_EQ(options.max_off_heap_bytes, 1001);
  EXPECT_EQ(options.off_heap_storage_region_bytes, 300);
  EXPECT_EQ(options.tungsten_mode, MemoryMode::kOnHeap);
  ASSERT_FALSE(ApplyOffHeapSettings({.enabled = true, .size_bytes = 1}, &options));
  EXPECT_EQ(options.max_off_heap_bytes, 1);
  EXPECT_EQ(options.off_heap_storage_region_bytes, 0);
  EXPECT_EQ(options.tungsten_mode, MemoryMode::kOffHeap);
}

TEST(OffHeap, RefusalsChangeNothing) {
  MemoryManagerOptions options;
  options.max_off_heap_bytes = 77;
  const auto refuse = [&options](const OffHeapSettings& settings) {
    return ApplyOffHeapSettings(settings, &options);
  };
  MemoryError error = refuse({.enabled = true, .size_bytes = 0});
  EXPECT_EQ(error.code, ErrorCode::kOffHeapSizeRequired);
  error = refuse({.enabled = true, .size_bytes = -1, .storage_fraction = 1});
  EXPECT_EQ(error.code, ErrorCode::kNegativeOffHeapSize);
  EXPECT_EQ(error.requested, -1);
  error = refuse({.enabled = true, .size_bytes = 0, .storage_fraction = 1});
  EXPECT_EQ(error.code, ErrorCode::kInvalidStorageFraction);
  EXPECT_STREQ(error.detail, "1.0");
  EXPECT_EQ(options.max_off_heap_bytes, 77);
  EXPECT_EQ(options.tungsten_mode, MemoryMode::kOnHeap);
}

TEST(OffHeap, RegionIsNeverMoreThanThereIs) {
  for (const int64_t bytes :
       {INT64_MAX, (int64_t{1} << 53) + 3, (int64_t{1} << 54) + 6, int64_t{1} << 62, int64_t{1}}) {
    MemoryManagerOptions options;
    options.max_heap_bytes = 1;
    ASSERT_FALSE(ApplyOffHeapSettings(
        {.enabled = true, .size_bytes = bytes, .storage_fraction = std::nextafter(1.0, 0.0)},
        &options));
    EXPECT_LE(options.off_heap_storage_region_bytes, bytes);
    EXPECT_FALSE(UnifiedMemoryManager::Validate(options)) << bytes;
  }
}

MemoryManagerOptions OptionsWithExecution(int64_t on_heap, int64_t off_heap, MemoryMode mode) {
  MemoryManagerOptions options;
  options.max_heap_bytes = on_heap + 1000;
  options.on_heap_storage_region_bytes = 1000;
  options.max_off_heap_bytes = off_heap + 500;
  options.off_heap_storage_region_bytes = 500;
  options.tungsten_mode = mode;
  return options;
}

int64_t PageSize(int64_t execution_bytes, int cores) {
  return DefaultPageSizeBytes(OptionsWithExecution(execution_bytes, 0, MemoryMode::kOnHeap), cores,
                              0);
}

constexpr int64_t kMiB = 1 << 20;

TEST(PageSize, IsAPowerOfTwoInBounds) {
  EXPECT_EQ(PageSize(1, 1), kMiB);
  EXPECT_EQ(PageSize(16 * kMiB, 1), kMiB);
  EXPECT_EQ(PageSize(16 * kMiB + 15, 1), kMiB);  // integer division
  EXPECT_EQ(PageSize(16 * kMiB + 16, 1), 2 * kMiB);
  EXPECT_EQ(PageSize(32 * kMiB, 1), 2 * kMiB);
  EXPECT_EQ(PageSize(16 * 64 * kMiB, 1), 64 * kMiB);
  EXPECT_EQ(PageSize(int64_t{1} << 62, 1), 64 * kMiB);
  EXPECT_EQ(PageSize(INT64_MAX - 1000, 1), 64 * kMiB);
}

TEST(PageSize, DividesByCoresFirst) {
  EXPECT_EQ(PageSize(4 * 16 * kMiB, 4), kMiB);
  EXPECT_EQ(PageSize(4 * 16 * kMiB + 63, 4), kMiB);
  EXPECT_EQ(PageSize(4 * 16 * kMiB + 64, 4), 2 * kMiB);
}

TEST(PageSize, IsOfTheTungstenMode) {
  const int64_t large = 64 * 16 * kMiB;
  EXPECT_EQ(DefaultPageSizeBytes(OptionsWithExecution(large, 1, MemoryMode::kOffHeap), 1, 16),
            kMiB);
  EXPECT_EQ(DefaultPageSizeBytes(OptionsWithExecution(1, large, MemoryMode::kOffHeap), 1, 16),
            64 * kMiB);
}

TEST(PageSize, LeavesRoomForAnArrayHeaderOnHeap) {
  EXPECT_EQ(DefaultPageSizeBytes(OptionsWithExecution(1, 1, MemoryMode::kOnHeap), 1, 16),
            kMiB - 16);
}

TEST(PageSize, CountsTheProcessorsItMayUse) {
  cpu_set_t all;
  ASSERT_EQ(sched_getaffinity(0, sizeof(all), &all), 0);
  const int64_t bytes = int64_t{CPU_COUNT(&all)} * 16 * 8 * kMiB;
  EXPECT_EQ(PageSize(bytes, 0), 8 * kMiB);
  EXPECT_EQ(PageSize(bytes, -1), 8 * kMiB);
}

}  // namespace
}  // namespace taskmem
