#include "shim/pages/page_steps.h"

#include "shim/mimalloc/hot.h"
#include "shim/pages/sampled_blocks.h"
#include "shim/pages/shared_page.h"

namespace taskmem {

void Extend(mi_page_t* page, size_t block_size, uint32_t blocks) {
  char* const start = PageBegin(_mi_page_segment(page), page);
  char* block = start + page->capacity * block_size;
  mi_block_t* const first = reinterpret_cast<mi_block_t*>(block);
  for (uint32_t i = 1; i < blocks; ++i, block += block_size) {
    mi_block_set_next(page, reinterpret_cast<mi_block_t*>(block),
                      reinterpret_cast<mi_block_t*>(block + block_size));
  }
  mi_block_set_next(page, reinterpret_cast<mi_block_t*>(block), page->free);
  page->free = first;
  page->capacity = static_cast<uint16_t>(page->capacity + blocks);
  if (!page->is_zero_init) page->is_zero = false;
}

void ExtendOwn(mi_page_t* page, size_t block_size, uint32_t blocks) {
  if (IsShared(page)) {
    PageOwners* const owners = OwnersOf(page);
    for (uint32_t i = page->capacity; i < uint32_t{page->capacity} + blocks; ++i) {
      owners->owner[i].store(kLesseeMark, std::memory_order_relaxed);
    }
    owners->paid_blocks = static_cast<uint16_t>(owners->paid_blocks + blocks);
  }
  Extend(page, block_size, blocks);
}

void StartPage(mi_heap_t* heap, mi_page_t* page, size_t block_size, uint32_t blocks) {
  mi_page_set_heap(page, heap);
  page->xblock_size = static_cast<uint32_t>(
      block_size < MI_HUGE_BLOCK_SIZE ? block_size : size_t{MI_HUGE_BLOCK_SIZE});
  size_t page_size = 0;
  _mi_segment_page_start(_mi_page_segment(page), page, &page_size);
  ListState(page) = kListNotCounted;
  page->reserved = static_cast<uint16_t>(page_size / block_size);
  if (page->reserved == 0) page->reserved = 1;
  page->is_zero = page->is_zero_init;
  Extend(page, block_size, blocks);
}

char* StartLargePage(mi_heap_t* heap, mi_page_t* page, size_t block_size) {
  mi_page_set_heap(page, heap);
  page->xblock_size = static_cast<uint32_t>(
      block_size < MI_HUGE_BLOCK_SIZE ? block_size : size_t{MI_HUGE_BLOCK_SIZE});
  ListState(page) = kListNotCounted;
  page->capacity = page->reserved = 1;
  page->used = 1;
  page->is_zero = false;
  return PageBegin(_mi_page_segment(page), page);
}

}  // namespace taskmem
