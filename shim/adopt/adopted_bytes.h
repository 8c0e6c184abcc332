// How much each adopted allocator has handed out and not taken back: a counter for each thread,
// posted to the allocator's row (shim/adopt/allocators.h) where it has changed by more than 64 KiB.
#ifndef TASKMEM_SHIM_ADOPT_ADOPTED_BYTES_H_
#define TASKMEM_SHIM_ADOPT_ADOPTED_BYTES_H_

#include <cstddef>
#include <cstdint>

namespace taskmem::adopt {

// Allocators that are counted: an adopter is a number below this.
inline constexpr uint32_t kMostAdopters = 8;
// The functions of all others, which are not counted.
inline constexpr uint32_t kUncounted = kMostAdopters;

struct AdoptedBytes {
  uint64_t taken;  // by this thread, of all adopted allocators
  uint64_t given;  // freed by it
  int64_t waiting[kMostAdopters];
};
inline constexpr int64_t kMostWaiting = 64 * 1024;

// The address of the calling thread's, made at first need; 0: not yet; 1: the thread ends.
extern __thread uintptr_t t_adopted __attribute__((tls_model("initial-exec")));
AdoptedBytes* MakeAdoptedBytes();
// nullptr: the thread ends, or there is no memory.
inline AdoptedBytes* OwnAdoptedBytes() {
  const uintptr_t own = t_adopted;
  if (__builtin_expect(own <= 1, 0)) return MakeAdoptedBytes();
  return reinterpret_cast<AdoptedBytes*>(own);
}

void PostAdopted(uint32_t adopter, int64_t bytes);

template <uint32_t kAdopter>
inline void CountAdopted(AdoptedBytes* own, int64_t bytes) {
  if constexpr (kAdopter < kMostAdopters) {
    if (own != nullptr) {
      bytes += own->waiting[kAdopter];
      own->waiting[kAdopter] = bytes;
      if (__builtin_expect(bytes <= kMostWaiting && bytes >= -kMostWaiting, 1)) return;
      own->waiting[kAdopter] = 0;
    }
    PostAdopted(kAdopter, bytes);
  }
}

template <uint32_t kAdopter>
inline void CountTaken(size_t bytes) {
  AdoptedBytes* const own = OwnAdoptedBytes();
  if (own != nullptr) own->taken += bytes;
  CountAdopted<kAdopter>(own, static_cast<int64_t>(bytes));
}

template <uint32_t kAdopter>
inline void CountGiven(size_t bytes) {
  AdoptedBytes* const own = OwnAdoptedBytes();
  if (own != nullptr) own->given += bytes;
  CountAdopted<kAdopter>(own, -static_cast<int64_t>(bytes));
}

// Where that is posted from now on.
void SetAdoptersRow(uint32_t adopter, uint32_t row);

// What live blocks of the adopter have, as far as other threads have posted it.
uint64_t LiveBytesOf(uint32_t adopter);

// The calling thread ends: what it frees from here on is posted at once.
void PostAdoptedForGood();

}  // namespace taskmem::adopt

#endif  // TASKMEM_SHIM_ADOPT_ADOPTED_BYTES_H_
