// A free segment that is kept in memory for the next large block (shim/segments/kept_segments.h),
// in one word, so that it is taken by one exchange and read from outside by one load.
//
//   | its start, in 32 MiB: 22 bits | bytes in memory, in 64 KiB: 24 | since when, in 67 ms: 18 |
#ifndef TASKMEM_ACCOUNTING_AUDIT_KEPT_SEGMENT_H_
#define TASKMEM_ACCOUNTING_AUDIT_KEPT_SEGMENT_H_

#include <cstdint>

namespace taskmem {

struct KeptSegment {
  static constexpr uint32_t kSlots = 64;
  static constexpr int kStartShift = 25;
  static constexpr int kBytesShift = 16;
  static constexpr int kTickShift = 26;  // of nanoseconds
  static constexpr int kTickBits = 18;   // after five hours they begin again
  static constexpr int kBytesBits = 24;
  static constexpr uint64_t kMostBytes = ((uint64_t{1} << kBytesBits) - 1) << kBytesShift;

  uint64_t start = 0;
  uint64_t bytes = 0;  // a multiple of 64 KiB
  uint64_t tick = 0;

  static uint64_t TickAt(uint64_t ns) { return (ns >> kTickShift) & kTickMask; }
  uint64_t TicksUntil(uint64_t now) const { return (now - tick) & kTickMask; }

  // 0 is nothing.
  uint64_t Packed() const {
    return start >> kStartShift << (kBytesBits + kTickBits) | bytes >> kBytesShift << kTickBits |
           tick;
  }
  static KeptSegment Unpacked(uint64_t word) {
    return {word >> (kBytesBits + kTickBits) << kStartShift,
            (word >> kTickBits & ((uint64_t{1} << kBytesBits) - 1)) << kBytesShift,
            word & kTickMask};
  }

 private:
  static constexpr uint64_t kTickMask = (uint64_t{1} << kTickBits) - 1;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_KEPT_SEGMENT_H_
