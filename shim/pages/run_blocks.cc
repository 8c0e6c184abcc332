#include "shim/pages/run_blocks.h"

#include <cstring>

#include "accounting/base/debug.h"
#include "shim/books/own_memory.h"
#include "shim/contexts/list_by_place.h"
#include "shim/mimalloc/embed.h"
#include "shim/mimalloc/hot.h"
#include "shim/pages/sampled_blocks.h"
#include "shim/pages/shared_page.h"
#include "shim/pages/shared_takes.h"

namespace taskmem {

namespace {

// What a run holds at most, free and charged, for each size class.
constexpr uint32_t kRunBytes = 8192;

uint32_t RunLimit(uint32_t block_size) {
  constexpr uint32_t kLeast = 2;
  const uint32_t blocks = kRunBytes / block_size;
  return blocks < kLeast ? kLeast : blocks;
}

Runs* MakeRuns(const mi_heap_t* heap) {
  auto* runs = static_cast<Runs*>(OwnAllocate(sizeof(Runs)));
  if (runs == nullptr) return nullptr;
  for (int bin = 1; bin < kRunBins; ++bin) {
    runs->run[bin].xblock_size = static_cast<uint32_t>(heap->pages[bin].block_size);
  }
  // Entry i is for sizes of i words.
  for (size_t i = 0; i < MI_PAGES_DIRECT; ++i)
    runs->direct[i] = &runs->run[_mi_bin(i * sizeof(void*))];
  return runs;
}

// More places where there are many pairs; without memory for them it stays as it is.
void GrowTable(RunsTable* table) {
  constexpr uint32_t kMost = 4096;
  const uint32_t size = table->mask + 1;
  if (table->count <= size / 2 || size >= kMost) return;
  auto** places = static_cast<Runs**>(OwnAllocate(2 * size * sizeof(Runs*)));
  if (places == nullptr) return;
  for (uint32_t i = 0; i < size; ++i) {
    Runs* const runs = table->places[i];
    if (runs != nullptr) places[runs->mark & (2 * size - 1)] = runs;
  }
  if (table->places != table->few) OwnFree(table->places, size * sizeof(Runs*));
  table->places = places;
  table->mask = 2 * size - 1;
}

}  // namespace

bool OpenRuns(Context* context, Pair* pair) {
  Runs* runs = context->spare_runs;
  if (runs != nullptr) {
    context->spare_runs = nullptr;
  } else {
    runs = MakeRuns(&context->shared.heap);
    if (runs == nullptr) return false;
  }
  runs->mark = pair->slot + 1;
  runs->pair = pair;
  pair->runs = runs;
  ++context->runs.count;
  GrowTable(&context->runs);
  if (pair->front == EmptyHeap()) SetFront(pair, AsFront(runs));
  return true;
}

namespace {

void NoteEmptied(Runs* runs) { TakeOffList<&Runs::next_filled, &Runs::place_filled>(runs); }

// `bytes` have been put into the runs of `pair`. Enough of it, and those of the others are emptied.
void NoteFilled(Context* context, Pair* pair, uint64_t bytes) {
  constexpr uint64_t kMostBytes = 2 << 20;
  RunsTable& table = context->runs;
  Runs* const runs = pair->runs;
  table.places[runs->mark & table.mask] = runs;
  if (runs->place_filled == nullptr) {
    ListFirst<&Runs::next_filled, &Runs::place_filled>(&table.filled, runs);
  }
  table.filled_bytes += bytes;
  if (table.filled_bytes <= kMostBytes) return;
  table.filled_bytes = 0;
  for (Runs* at = table.filled; at != nullptr;) {
    Runs* const next = at->next_filled;
    if (at != runs) EmptyRuns(at->pair);
    at = next;
  }
}

// malloc looks at the run first from here on, until mimalloc puts a page of the heap's own there.
void PutInFront(Pair* pair, uint8_t bin, mi_page_t* run) {
  mi_page_t** const direct = pair->heap->pages_free_direct;
  const size_t last = _mi_wsize_from_size(run->xblock_size);
  if (last >= MI_PAGES_DIRECT || direct[last] == run) return;
  for (size_t i = last; BinOf(i * sizeof(void*)) == bin; --i) {
    direct[i] = run;
    if (i == 0) break;
  }
}

// Marks free blocks of the page, until there are `most`, as the pair's, and appends them to the
// list that ends at `place`. Returns its new end.
mi_block_t** MarkFree(mi_page_t* page, uint32_t slot, uint32_t most, uint32_t* count,
                      mi_block_t** place) {
  PageOwners* const owners = OwnersOf(page);
  const uint32_t before = *count;
  mi_block_t* block = page->free;
  *place = block;
  while (block != nullptr && *count < most) {
    MarkOwner(owners, block, slot);
    place = reinterpret_cast<mi_block_t**>(&block->next);
    block = mi_block_next(page, block);
    ++*count;
  }
  page->free = block;
  page->used += *count - before;
  page->retire_expire = 0;
  return place;
}

}  // namespace

Outcome Refill(Context* context, Pair* pair, uint8_t bin, mi_page_t* page, ChargeMode mode) {
  Runs* const runs = pair->runs;
  mi_page_t* const run = &runs->run[bin];
  // A handler may have freed blocks into `local_free` since it was looked at.
  TASKMEM_DCHECK(run->free == nullptr);
  run->capacity = 0;
  run->used = 0;
  ListState(run) = kListNotCounted;
  const uint32_t block_size = run->xblock_size;
  const uint32_t limit = RunLimit(block_size);
  const bool is_tight = IsNearQuota(pair->slot);
  // As many as it took so far: twice as many each time.
  uint32_t wanted = runs->taken[bin];
  if (wanted > limit) wanted = limit;
  if (!ChargeSome(pair->slot, &wanted, block_size, mode)) return Outcome::kOverQuota;
  runs->filled |= uint64_t{1} << bin;
  uint32_t count = 0;
  mi_block_t* list = nullptr;
  mi_block_t** place = &list;
  while (page != nullptr && count < wanted) {
    place = MarkFree(page, pair->slot, wanted, &count, place);
    page = FirstWithFree(&context->shared, bin);
  }
  *place = nullptr;
  run->capacity = static_cast<uint16_t>(count);
  const uint32_t taken = runs->taken[bin] + count;
  runs->taken[bin] = static_cast<uint16_t>(taken < UINT16_MAX ? taken : UINT16_MAX);
  CountTowardsHot(pair, bin, count);
  // Near a quota what is freed goes back at once; else as much stays as was taken lately.
  const uint32_t most = is_tight ? 0 : 2 * taken;
  run->reserved = static_cast<uint16_t>(most < limit ? most : limit);
  // Last: a handler may allocate.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  run->free = list;
  if (count < wanted) Credit(pair->slot, uint64_t{wanted - count} * block_size);
  NoteFilled(context, pair, uint64_t{count} * block_size);
  return Outcome::kDone;
}

__attribute__((noinline)) Outcome TakeFromRun(Context* context, Pair* pair, uint8_t bin,
                                              size_t size, bool zero, ChargeMode mode,
                                              void** result) {
  mi_page_t* const run = &pair->runs->run[bin];
  if (run->free == nullptr) {
    NoteListEnd(context, run);
    run->free = run->local_free;
    run->local_free = nullptr;
  }
  if (pair->heap != nullptr) PutInFront(pair, bin, run);
  if (IsSample(context, run, size)) {
    return TakeSampled(context, pair, bin, size, zero, mode, result);
  }
  *result = PopBlock(&context->shared.heap, run, size, zero);
  return Outcome::kDone;
}

namespace {

// Gives blocks back to the pages they lie in. They have no owner.
void ReturnToPages(mi_block_t* list) {
  while (list != nullptr) {
    mi_page_t* page = _mi_ptr_page(list);
    mi_block_t* next = mi_block_next(page, list);
    OwnersOf(page)->unsettled = true;
    FreeBlockOfPage(page, list);
    list = next;
  }
}

// Takes the owner off up to `most` blocks of the list at `*list`, which go to the list at `*to`.
// Returns their number; `*own`, how many of them were the pair's still, grows: others have been
// credited.
uint32_t ClearRun(mi_block_t** list, uint32_t most, uint32_t mark, mi_block_t** to, uint32_t* own) {
  uint32_t count = 0;
  for (; *list != nullptr && count < most; ++count) {
    mi_block_t* block = *list;
    mi_page_t* page = _mi_ptr_page(block);
    PageOwners* owners = OwnersOf(page);
    const uint32_t old = owners->MarkAt(block).exchange(0, std::memory_order_relaxed);
    if (old == mark) {
      ++*own;
    } else if (old != 0) {
      CreditAt(block, old - 1u, owners->block_size);
    }
    *list = mi_block_next(page, block);
    mi_block_set_next(page, block, *to);
    *to = block;
  }
  return count;
}

}  // namespace

void MakeRoomInRun(const mi_page_t* page, const void* block) {
  PageOwners* const owners = OwnersOf(page);
  const uint32_t mark = owners->MarkAt(block).load(std::memory_order_relaxed);
  Runs* const runs = t_thread.context->runs.Find(mark);
  if (runs == nullptr || runs->mark != mark || owners->run == kRunBins) return;
  mi_page_t* run = &runs->run[owners->run];
  if (run->reserved == 0 || BlocksIn(*run) < run->reserved) return;
  mi_block_t* list = nullptr;
  uint32_t own = 0;
  run->used += ClearRun(&run->local_free, run->reserved / 2u + 1, mark, &list, &own);
  Credit(mark - 1, uint64_t{own} * run->xblock_size);
  ReturnToPages(list);
}

void EmptyRuns(Pair* pair) {
  Runs* const runs = pair->runs;
  if (runs == nullptr) return;
  uint64_t bytes = 0;
  memset(runs->taken, 0, sizeof(runs->taken));
  for (uint64_t left = runs->filled; left != 0; left &= left - 1) {
    const int bin = __builtin_ctzll(left);
    mi_page_t* run = &runs->run[bin];
    if (run->free != nullptr || run->local_free != nullptr) {
      mi_block_t* list = nullptr;
      uint32_t own = 0;
      ClearRun(&run->free, UINT32_MAX, runs->mark, &list, &own);
      ClearRun(&run->local_free, UINT32_MAX, runs->mark, &list, &own);
      bytes += uint64_t{own} * run->xblock_size;
      ReturnToPages(list);
    }
    // What it does from here on decides whether it gets pages.
    pair->shared_blocks[bin] /= 2;
    run->capacity = 0;
    run->used = 0;
    run->reserved = 0;
    ListState(run) = kListNotCounted;
  }
  runs->filled = 0;
  NoteEmptied(runs);
  if (bytes != 0) Credit(pair->slot, bytes);
}

void CloseRuns(Context* context, Pair* pair) {
  Runs* const runs = pair->runs;
  if (runs == nullptr) return;
  EmptyRuns(pair);
  pair->runs = nullptr;
  --context->runs.count;
  Runs*& place = context->runs.places[runs->mark & context->runs.mask];
  if (place == runs) place = nullptr;
  if (context->spare_runs == nullptr) {
    context->spare_runs = runs;
  } else {
    OwnFree(runs, sizeof(*runs));
  }
}

}  // namespace taskmem
