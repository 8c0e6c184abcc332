#include "shim/contexts/context.h"

#include <cstring>

#include "accounting/base/debug.h"
#include "shim/books/own_memory.h"
#include "shim/mimalloc/embed.h"
#include "shim/mimalloc/seams.h"

namespace taskmem {

__thread ThreadState t_thread __attribute__((tls_model("initial-exec"))) = {};

mi_threadid_t IdOfThreadsContext() { return reinterpret_cast<mi_threadid_t>(t_thread.context); }

__attribute__((noinline)) void NoteServedAfterRefusals(uint64_t bytes) {
  t_thread.streak.NoteSuccess(bytes);
}

void InitPair(Pair* pair, uint64_t id, uint32_t slot, uint32_t generation) {
  pair->id = id;
  pair->slot = slot;
  pair->generation = generation;
  pair->always_hot = g_task_slots[slot].always_hot;
  pair->front = EmptyHeap();
}

void InitHeap(Context* context, mi_tld_t* tld, mi_heap_t* heap) {
  memcpy(static_cast<void*>(heap), &_mi_heap_empty, sizeof(*heap));
  heap->tld = tld;
  heap->thread_id = reinterpret_cast<mi_threadid_t>(context);
  heap->no_reclaim = true;
  heap->arena_id = tld == &context->tld ? 0 : kOverflowArena;
}

Context* MakeContext() {
  auto* context = static_cast<Context*>(OwnAllocate(sizeof(Context)));
  if (context == nullptr) return nullptr;
  InitTld(&context->tld, &context->shared.heap);
  InitHeap(context, &context->tld, &context->shared.heap);
  InitHeap(context, &context->tld, &context->sampled.heap);
  InitPair(&context->untracked, UINT64_MAX, kUntrackedSlot, 0);
  context->number = kNobody;
  context->runs.places = context->runs.few;
  context->runs.mask = RunsTable::kFew - 1;
  return context;
}

bool MakeHeap(Context* context, Pair* pair) {
  auto* heap = static_cast<mi_heap_t*>(OwnAllocate(sizeof(mi_heap_t)));
  if (heap == nullptr) return false;
  InitHeap(context, &context->tld, heap);
  pair->heap = heap;
  if (!pair->in_overflow) SetFront(pair, heap);
  return true;
}

void SetFront(Pair* pair, mi_heap_t* heap) {
  pair->front = heap;
  if (pair != t_thread.pair) return;
  TASKMEM_DCHECK(t_thread.busy && !t_thread.context->is_lent);
  TASKMEM_DELAY_POINT(set_front);
  _mi_heap_default = heap;
}

}  // namespace taskmem
