#include "shim/adopt/adopted_bytes.h"

#include <atomic>

#include "shim/adopt/allocators.h"
#include "shim/books/own_memory.h"

namespace taskmem::adopt {
namespace {

// By adopter: the row + 1; 0: none yet.
constinit std::atomic<uint32_t> g_rows[kMostAdopters] = {};

}  // namespace

__thread uintptr_t t_adopted __attribute__((tls_model("initial-exec"))) = 0;

AdoptedBytes* MakeAdoptedBytes() {
  if (t_adopted == 1) return nullptr;
  auto* const made = static_cast<AdoptedBytes*>(OwnAllocate(sizeof(AdoptedBytes)));
  t_adopted = reinterpret_cast<uintptr_t>(made);
  return made;
}

void PostAdopted(uint32_t adopter, int64_t bytes) {
  const uint32_t row = g_rows[adopter].load(std::memory_order_relaxed);
  if (row != 0) AddAdoptedBytes(row - 1, bytes);
}

void SetAdoptersRow(uint32_t adopter, uint32_t row) {
  if (row != kNoAllocatorRow) g_rows[adopter].store(row + 1, std::memory_order_relaxed);
}

uint64_t LiveBytesOf(uint32_t adopter) {
  if (adopter >= kMostAdopters) return 0;
  const uint32_t row = g_rows[adopter].load(std::memory_order_relaxed);
  int64_t bytes = row != 0 ? PostedAdoptedBytes(row - 1) : 0;
  if (t_adopted > 1) bytes += OwnAdoptedBytes()->waiting[adopter];
  return bytes < 0 ? 0 : static_cast<uint64_t>(bytes);
}

void PostAdoptedForGood() {
  const uintptr_t address = t_adopted;
  t_adopted = 1;
  if (address <= 1) return;
  auto* const own = reinterpret_cast<AdoptedBytes*>(address);
  for (uint32_t i = 0; i < kMostAdopters; ++i) PostAdopted(i, own->waiting[i]);
  OwnFree(own, sizeof(*own));
}

}  // namespace taskmem::adopt
