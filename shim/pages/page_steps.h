// Blocks of a page are taken into use step by step. Every byte is charged before the allocator
// touches it; nothing here reclaims or waits.
#ifndef TASKMEM_SHIM_PAGES_PAGE_STEPS_H_
#define TASKMEM_SHIM_PAGES_PAGE_STEPS_H_

#include <cstddef>
#include <cstdint>

#include "shim/contexts/charge.h"
#include "shim/mimalloc/types.h"

namespace taskmem {

// mimalloc's step: about a system page at a time, so that what is charged is
// what is touched.
inline constexpr size_t kStepBytes = 4096;

inline uint32_t StepBlocks(size_t block_size) {
  return block_size >= kStepBytes ? 1 : static_cast<uint32_t>(kStepBytes / block_size);
}

// Takes the next blocks of `page` into use, in front of what is free of it. They have been charged.
void Extend(mi_page_t* page, size_t block_size, uint32_t blocks);

// The same for a page of a pair's heap.
void ExtendOwn(mi_page_t* page, size_t block_size, uint32_t blocks);

// Sets up a page the segment layer has just given, with some blocks in use.
void StartPage(mi_heap_t* heap, mi_page_t* page, size_t block_size, uint32_t blocks);

// The same for a page that one large block has, which is in use: nothing of its memory is
// touched. Returns where it begins.
char* StartLargePage(mi_heap_t* heap, mi_page_t* page, size_t block_size);

// Takes back a charge that was made in `mode`.
inline void Uncharge(uint32_t slot, uint64_t bytes, ChargeMode mode) {
  if (mode == ChargeMode::kOverflow) {
    CreditInOverflow(slot, bytes);
  } else {
    Credit(slot, bytes);
  }
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PAGES_PAGE_STEPS_H_
