// Leased pages.
//
// A pair that works alone on its thread takes a shared page over, and some of its free blocks at
// once. A leased page lies in the pair's heap like a page of its own; malloc and free treat it as
// one, but for the blocks that are others' still. So tasks that follow each other on a thread pass
// the same pages on.
//
//   shared --Lease--> leased --Unlease--> shared
//
//   owner[i] = kLessee    paid for by the lessee: live, or on the page's free lists
//   owner[i] = slot + 1   live, that task's                          as in any shared page
//   owner[i] = 0          free, nobody's: put aside, or freed since the lists were settled
//
// Only the thread that has the context writes kLessee, or something else in its place; any thread
// that frees another mark clears it and credits its task. malloc is never given a block that is
// not paid for: where a list that others may have added to becomes the free list, it is settled.
//
// A thread that frees the lessee's block and is slower than Unlease leaves it marked as the task's,
// like one whose free has seen the page unshared (shared_page.h).
#ifndef TASKMEM_SHIM_PAGES_LEASE_H_
#define TASKMEM_SHIM_PAGES_LEASE_H_

#include <cstdint>

#include "shim/contexts/charge.h"
#include "shim/contexts/context.h"
#include "shim/mimalloc/embed.h"
#include "shim/pages/shared_page.h"

namespace taskmem {

inline bool IsLeased(const mi_page_t* page) { return IsShared(page) && OwnersOf(page)->lease != 0; }

inline uint32_t FreeBlocks(const mi_page_t* page) {
  return static_cast<uint32_t>(page->capacity) - page->used;
}

// The page's free list, after others may have added to it: pays for the blocks that are not paid
// for, or puts them aside.
void SettleLease(mi_page_t* page);

// The free list of a leased page is used up and nothing was freed: pays for some of what is aside.
void TakeFromAside(mi_page_t* page);

// _mi_page_free_collect, without force, which notes what other threads have freed.
void CollectLeased(mi_page_t* page);

// Collects what was freed in a page of a pair's own heap.
inline void CollectOwnPage(mi_page_t* page) {
  if (__builtin_expect(!IsShared(page), 1)) return _mi_page_free_collect(page, false);
  CollectLeased(page);
  SettleLease(page);
  if (page->free == nullptr) TakeFromAside(page);
}

// Only the first page of a queue is looked at by who gives retired pages back.
void PutFirst(mi_heap_t* heap, mi_page_queue_t* queue, mi_page_t* page);

// Takes a shared page of the context, with free blocks, over for the pair's heap. False: not one
// block can be paid for, and nothing has changed.
bool Lease(Context* context, Pair* pair, uint8_t bin, mi_page_t* page, ChargeMode mode);

// Makes a leased page an ordinary shared one. The caller moves it to `pages`, and credits the
// lessee with the bytes that are returned.
uint64_t Unlease(SharedPages* pages, mi_page_t* page);

// Gives up what is paid for and free of a leased page. Afterwards it has nothing for malloc, or
// nothing lives in it.
void TrimLease(mi_page_t* page);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PAGES_LEASE_H_
