// Code that is gone: libraries that were unloaded, and how frames of a stack say that they were in
// one. Another library may have come to lie at their addresses.
//
// A frame is a return address, below 2^47; one that was in an unloaded library bears its number:
//
//   63  62 ........ 48  47 ............. 0
//    1  number, from 1  the return address     number 0: it is not known in which
#ifndef TASKMEM_ACCOUNTING_AUDIT_UNLOADED_CODE_H_
#define TASKMEM_ACCOUNTING_AUDIT_UNLOADED_CODE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace taskmem {

inline constexpr uint64_t kUnloadedFrame = uint64_t{1} << 63;
inline constexpr int kFrameAddressBits = 48;

inline constexpr uint32_t kUnloadedChunks = 64;
inline constexpr uint32_t kUnloadedInChunk = 128;
inline constexpr uint32_t kMostUnloaded = kUnloadedChunks * kUnloadedInChunk;

constexpr uint64_t UnloadedFrame(uint32_t number, uint64_t address) {
  return kUnloadedFrame | uint64_t{number} << kFrameAddressBits | address;
}
constexpr uint32_t UnloadedNumber(uint64_t frame) {
  return static_cast<uint32_t>((frame & ~kUnloadedFrame) >> kFrameAddressBits);
}
constexpr uint64_t UnloadedAddress(uint64_t frame) {
  return frame & ((uint64_t{1} << kFrameAddressBits) - 1);
}
// Addresses of the kernel's own pages look like frames of libraries that there cannot be.
constexpr bool IsUnloadedFrame(uint64_t frame) {
  return (frame & kUnloadedFrame) != 0 && UnloadedNumber(frame) <= kMostUnloaded;
}

// What tells a library's file from others of its name: its beginning, which has the sizes of its
// parts and, most often, its build id. The same in the file and where it is loaded.
inline constexpr size_t kFingerprintBytes = 1024;

inline uint64_t Fingerprint(const void* beginning) {
  uint64_t print = 1;
  for (size_t i = 0; i < kFingerprintBytes; i += sizeof(uint64_t)) {
    uint64_t word;
    __builtin_memcpy(&word, static_cast<const char*>(beginning) + i, sizeof(word));
    print = (print ^ word) * 0x9e3779b97f4a7c15;
    print ^= print >> 29;
  }
  return print;
}

struct UnloadedLibrary {
  static constexpr size_t kPathBytes = 400;

  uint64_t start;  // where it was loaded
  uint64_t end;
  uint64_t fingerprint;
  char path[kPathBytes];  // as the loader knew it, but absolute; NUL-terminated; empty: too long
};

// For readers in other processes. Number n is entry (n - 1) % kUnloadedInChunk of chunk
// (n - 1) / kUnloadedInChunk. Only appended; what counts is there.
struct UnloadedHead {
  std::atomic<uint32_t> count;
  std::atomic<uint32_t> reserved;
  std::atomic<uint64_t> chunks[kUnloadedChunks];  // addresses of UnloadedLibrary[kUnloadedInChunk]
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_UNLOADED_CODE_H_
