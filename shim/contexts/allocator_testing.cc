#include "shim/contexts/allocator_testing.h"

#include <cstdlib>

#include "shim/base/os.h"
#include "shim/books/fold.h"
#include "shim/books/overflow_book.h"
#include "shim/books/own_memory.h"
#include "shim/books/slack.h"
#include "shim/books/task_registry.h"
#include "shim/contexts/registry.h"
#include "shim/heap/upcalls.h"
#include "shim/mimalloc/embed.h"
#include "shim/mimalloc/seams.h"

// What a test links takes the place of these.
#define UNLESS_LINKED __attribute__((weak))

namespace taskmem {

namespace {

// Before mimalloc's own constructor, which would start the whole of it.
__attribute__((constructor(101))) void Start() { StartMimalloc(); }

}  // namespace

OverflowRange g_overflow_range UNLESS_LINKED;

AllocatorTest::AllocatorTest() : context_(OpenContext()) {}

Context* AllocatorTest::OpenContext() {
  ThreadState& t = t_thread;
  if (t.context != nullptr) return t.context;
  if (!StatsOpen()) abort();
  t_tid_in_passage = os::ThreadId();
  Context* const context = MakeListedContext();
  if (context == nullptr) abort();
  context->thread = &t;
  context->default_heap = &_mi_heap_default;
  context->tid = t_tid_in_passage;
  t.context = context;
  t.own_number = context->number;
  t.phase = ThreadPhase::kReady;
  t.pair = &context->untracked;
  t.id = context->number;
  _mi_heap_default = EmptyHeap();
  t_tid_in_passage = 0;
  context->lock.Unlock();
  return context;
}

Pair* AllocatorTest::BeginTask(uint64_t quota_bytes) {
  static uint64_t last_id = 0;
  uint32_t slot = 0;
  if (taskmem::BeginTask(++last_id, quota_bytes, "", false, &slot) != 0) abort();
  auto* const pair = static_cast<Pair*>(OwnAllocate(sizeof(Pair)));
  InitPair(pair, last_id, slot, g_task_slots[slot].generation);
  pair->context = t_thread.context;
  return pair;
}

// What stands above.

UNLESS_LINKED void* MallocGeneric(mi_heap_t*, size_t, bool, size_t) { abort(); }
UNLESS_LINKED void FreeHugePage(mi_segment_t*, mi_page_t*, mi_block_t*) { abort(); }
UNLESS_LINKED void ReleasePage(mi_page_t*, bool, mi_segments_tld_t*) { abort(); }
UNLESS_LINKED void CollectFreed(mi_page_t* page) { _mi_page_free_collect(page, false); }
UNLESS_LINKED uintptr_t OsRandom() { return 1; }

UNLESS_LINKED void FoldOwners(const SlotSet&, uint32_t) {}
UNLESS_LINKED void FoldMappings(const SlotSet&, uint32_t) {}
UNLESS_LINKED void ForgetPages(uint32_t) {}
UNLESS_LINKED void EndSpillConsumers(uint32_t, uint32_t) {}

UNLESS_LINKED void TakeBooksOver() {}
UNLESS_LINKED void SettleBooks() {}
UNLESS_LINKED void NoteWorthListing() {}
UNLESS_LINKED void NoteUnseenThread() {}

UNLESS_LINKED bool AwaitsKeptSegments() { return false; }

UNLESS_LINKED int64_t CountedSlack() { return 0; }
UNLESS_LINKED void NoteMemoryIsNear() {}
UNLESS_LINKED bool GiveSlackBack() { return false; }

UNLESS_LINKED void* TakeOverflowSegment(size_t, size_t, size_t) { return nullptr; }
UNLESS_LINKED void* TakeOverflowSegment(size_t*, size_t, size_t) { return nullptr; }
UNLESS_LINKED void ReleaseOverflowSegment(void*, size_t) {}

}  // namespace taskmem
