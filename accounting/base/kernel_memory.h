// Memory straight from the kernel, for what works below malloc and cannot be bounded.
#ifndef TASKMEM_ACCOUNTING_BASE_KERNEL_MEMORY_H_
#define TASKMEM_ACCOUNTING_BASE_KERNEL_MEMORY_H_

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/round_up.h"

namespace taskmem {

// Set where this runs inside a program that is not ours, when that begins.
inline std::atomic<bool> g_maps_apart{false};

// Where to wish for a mapping that comes while such a program runs: far below where the kernel
// puts what has no wish, and so in the way of nothing that grows downwards (MAP_GROWSDOWN). Where
// that place is taken, the kernel chooses another. 0: no wish.
inline uintptr_t PlaceApart(size_t bytes) {
  constexpr uintptr_t kDistance = uintptr_t{8} << 40;
  constexpr uintptr_t kMost = uintptr_t{6} << 40;
  constexpr uintptr_t kAlignment = uintptr_t{2} << 20;
  static std::atomic<uintptr_t> used{0};
  if (!g_maps_apart.load(std::memory_order_relaxed) || bytes >= kMost) return 0;
  const uintptr_t rounded = RoundUp(bytes);
  const uintptr_t top = (reinterpret_cast<uintptr_t>(&used) - kDistance) & ~(kAlignment - 1);
  return top - (used.fetch_add(rounded, std::memory_order_relaxed) + rounded) % kMost;
}

// Told of what is mapped, and of what is about to be unmapped, where somebody lists that. Set
// before there are threads.
inline void (*g_mapping_observer)(const void* start, size_t bytes, bool is_mapped) = nullptr;

// By system call: mmap itself may be interposed by whoever uses this. Both keep errno.

// Zeroed memory, aligned to a page of the machine; nullptr: there is none.
inline void* MapZeroed(size_t bytes) {
  const ErrnoKeeper keeper;
  const long address = syscall(SYS_mmap, PlaceApart(bytes), bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  if (address == -1) return nullptr;
  auto* const mapped = reinterpret_cast<void*>(address);
  if (g_mapping_observer != nullptr) g_mapping_observer(mapped, bytes, true);
  return mapped;
}

inline void Unmap(void* address, size_t bytes) {
  const ErrnoKeeper keeper;
  if (g_mapping_observer != nullptr) g_mapping_observer(address, bytes, false);
  syscall(SYS_munmap, address, bytes);
}

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_BASE_KERNEL_MEMORY_H_
