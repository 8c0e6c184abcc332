// The pairs of a context (contexts/context.h): made for tasks that its thread works for, and given
// up when these have ended.
#include "accounting/base/debug.h"
#include "shim/books/own_memory.h"
#include "shim/collect/thread_context.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/charge.h"
#include "shim/contexts/contexts_of.h"
#include "shim/contexts/pairs.h"
#include "shim/heap/heap.h"
#include "shim/mimalloc/embed.h"
#include "shim/pages/lease.h"
#include "shim/pages/run_blocks.h"
#include "shim/pages/shared_page.h"

namespace taskmem {

Pair* PairFor(Context* context, uint64_t id, uint32_t slot, uint32_t generation) {
  if (slot == kUntrackedSlot) return &context->untracked;
  Pair* pair = FindPair(context, id);
  if (pair != nullptr && pair->slot == slot && pair->generation == generation) return pair;
  if ((context->pair_count + 1) * 2 > context->pair_slots) {
    PurgeEndedPairs(context);
    // Room to spare, so that the next purge is far.
    if ((context->pair_count + 1) * 4 > context->pair_slots && !GrowPairs(context)) return nullptr;
  }
  pair = static_cast<Pair*>(OwnAllocate(sizeof(Pair)));
  if (pair == nullptr) return nullptr;
  InitPair(pair, id, slot, generation);
  InsertPair(context->pairs, context->pair_slots, pair);
  ++context->pair_count;
  ListPair(context, pair);
  return pair;
}

namespace {

// Makes the pages of `heap` shared, and gives them to `shared`.
void AbsorbHeap(SharedPages* shared, mi_heap_t* heap, uint32_t slot) {
  _mi_heap_delayed_free_all(heap);
  _mi_heap_collect_retired(heap, true);
  uint64_t unpaid_bytes = 0;
  for (size_t bin = 0; bin <= MI_BIN_FULL; ++bin) {
    mi_page_queue_t* queue = &heap->pages[bin];
    for (mi_page_t* page = queue->first; page != nullptr;) {
      mi_page_t* next = page->next;
      const bool is_leased = IsLeased(page);
      if (is_leased) {
        TASKMEM_DCHECK(OwnersOf(page)->lease == slot + 1);
        unpaid_bytes += Unlease(shared, page);
      } else {
        _mi_page_free_collect(page, true);
      }
      if (mi_page_all_free(page)) {
        _mi_page_free(page, queue, false);
        page = next;
        continue;
      }
      // Without memory for its owners the page stays what it is: charged whole.
      if (!is_leased) (void)ConvertToShared(shared, page, slot);
      // Where its free blocks are found.
      if (page->free != nullptr && mi_page_is_in_full(page)) _mi_page_unfull(page);
      page = next;
    }
  }
  if (unpaid_bytes != 0) Credit(slot, unpaid_bytes);
  AbsorbPages(&shared->heap, heap);
  OwnFree(heap, sizeof(*heap));
}

}  // namespace

void AbsorbPair(Context* context, Pair* pair) {
  AssertMayChange(context);
  if (context->tenant == pair) context->tenant = nullptr;
  CloseRuns(context, pair);
  if (pair->heap != nullptr) AbsorbHeap(&context->shared, pair->heap, pair->slot);
  if (pair->overflow_heap != nullptr) {
    AbsorbHeap(&context->overflow->shared, pair->overflow_heap, pair->slot);
  }
  pair->heap = nullptr;
  pair->overflow_heap = nullptr;
  pair->in_overflow = false;
  pair->front = EmptyHeap();
}

void PurgeEndedPairs(Context* context) {
  AssertMayChange(context);
  context->entries_since_purge = 0;
  // The thread it belongs to, which may sleep, works with this one.
  const Pair* current = context->is_lent              ? context->lent_pair
                        : context == t_thread.context ? t_thread.pair
                                                      : nullptr;
  const auto is_over = [current](const Pair* pair) {
    return pair != nullptr && pair != current && HasEnded(*pair);
  };
  uint32_t ended = 0;
  for (uint32_t i = 0; i < context->pair_slots; ++i) {
    if (is_over(context->pairs[i])) ++ended;
  }
  if (ended == 0) return;
  // Takes the ended out and puts the others back where a probe finds them.
  Pair** old = context->pairs;
  const uint32_t slots = context->pair_slots;
  auto** pairs = static_cast<Pair**>(OwnAllocate(slots * sizeof(Pair*)));
  if (pairs == nullptr) return;
  context->pair_count = 0;
  for (uint32_t i = 0; i < slots; ++i) {
    Pair* pair = old[i];
    if (pair == nullptr) continue;
    if (is_over(pair)) {
      AbsorbPair(context, pair);
      UnlistPair(pair);
      OwnFree(pair, sizeof(*pair));
      continue;
    }
    InsertPair(pairs, slots, pair);
    ++context->pair_count;
  }
  context->pairs = pairs;
  OwnFree(old, slots * sizeof(Pair*));
}

void AbsorbEnded(uint64_t id, uint32_t slot) {
  ThreadState& t = t_thread;
  Context* context = t.context;
  if (context == nullptr || context->pair_slots == 0 || t.busy) return;
  const InsideAllocator inside;
  if (t.pair->slot == slot && HasEnded(*t.pair) && !t.keeps_ended_task) {
    UsePair(context, &context->untracked);
  }
  const uint32_t mask = context->pair_slots - 1;
  for (uint32_t at = PairHash(id, context->pair_slots); context->pairs[at] != nullptr;
       at = (at + 1) & mask) {
    Pair* pair = context->pairs[at];
    if (pair->slot == slot && pair != t.pair && HasEnded(*pair)) AbsorbPair(context, pair);
  }
}

}  // namespace taskmem
