// Pages of a pair's own heap, its own or leased: a free block in one of them, or new memory for it.
#ifndef TASKMEM_SHIM_PAGES_OWN_PAGES_H_
#define TASKMEM_SHIM_PAGES_OWN_PAGES_H_

#include <cstdint>

#include "shim/contexts/charge.h"
#include "shim/contexts/context.h"
#include "shim/mimalloc/types.h"
#include "shim/pages/lease.h"
#include "shim/pages/outcome.h"
#include "shim/pages/sampled_blocks.h"

namespace taskmem {

// What a search for a free block found on its way.
struct Found {
  mi_page_t* page = nullptr;        // has a free block
  mi_page_t* extendable = nullptr;  // has none, but room that was never in use
};

// Looks for a free block in the pages of a queue, collecting what was freed, and
// takes no new memory into use. At most `room` pages without one but with room are
// passed: in a pair's own heap, like in mimalloc, none, because malloc's fast path
// looks only into the first page. A later page with a free block is moved there.
Found SearchQueue(Context* context, mi_page_queue_t* queue, int room);

// SearchQueue, without a page to pass; most often the first page has a block.
inline Found FindFree(Context* context, mi_page_queue_t* queue) {
  mi_page_t* page = queue->first;
  if (page == nullptr) return {};
  if (page->free == nullptr) {
    NoteListEnd(context, page);
    CollectOwnPage(page);
  }
  if (page->free == nullptr) return SearchQueue(context, queue, 0);
  // Where it was retired it stays so: its last block is freed at little cost again.
  return {page, nullptr};
}

// Takes the next blocks of one of the pair's own pages, or of a new page, into use, charged to
// `slot`.
Outcome TakeIntoUse(mi_heap_t* heap, uint32_t slot, ChargeMode mode, mi_page_queue_t* queue,
                    Found* found);

// Takes the page out of its queue, and collects it. As mi_page_to_full, which is for pages without
// a free block alone.
void HideInFull(mi_page_t* page, mi_page_queue_t* queue);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PAGES_OWN_PAGES_H_
