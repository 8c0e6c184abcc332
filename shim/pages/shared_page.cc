#include "shim/pages/shared_page.h"

#include <cstring>

#include "accounting/base/debug.h"
#include "accounting/base/mutex.h"
#include "shim/books/fold.h"
#include "shim/books/own_memory.h"
#include "shim/contexts/list_by_place.h"
#include "shim/heap/upcalls.h"
#include "shim/mimalloc/hot.h"
#include "shim/sites/sites.h"

namespace taskmem {

namespace {

Mutex g_shared_mutex;
PageOwners* g_shared_pages = nullptr;

PageOwners* MakeOwners(mi_page_t* page, bool converted) {
  const uint32_t blocks = page->reserved;
  auto* owners = static_cast<PageOwners*>(OwnAllocate(PageOwners::Bytes(blocks)));
  if (owners == nullptr) return nullptr;
  const auto block_size = static_cast<uint32_t>(mi_page_block_size(page));
  owners->start = PageBegin(_mi_page_segment(page), page);
  owners->block_size = block_size;
  owners->blocks = blocks;
  owners->reciprocal = ((uint64_t{1} << 32) + block_size - 1) / block_size;
  owners->converted = converted;
  owners->page = page;
  const uint8_t bin = _mi_bin(block_size);
  owners->run = bin < kRunBins && !InOverflow(owners->start) ? bin : kRunBins;
  return owners;
}

// False: no memory for the page map, and nothing has changed.
bool Publish(mi_page_t* page, PageOwners* owners) {
  if (!PageMap::SetAll(SliceStart(owners->start), page->slice_count, PageMap::Shared(owners))) {
    OwnFree(owners, PageOwners::Bytes(owners->blocks));
    return false;
  }
  page->padding[0] = reinterpret_cast<uintptr_t>(owners);
  {
    MutexLock lock(g_shared_mutex);
    owners->next = g_shared_pages;
    if (g_shared_pages != nullptr) g_shared_pages->previous = owners;
    g_shared_pages = owners;
  }
  // Last: whoever sees the flag finds the owners.
  std::atomic_thread_fence(std::memory_order_release);
  page->flags.full_aligned |= kSharedFlag;
  return true;
}

}  // namespace

void ListIfExtendable(SharedPages* pages, PageOwners* owners) {
  const bool is_extendable = owners->page->capacity < owners->page->reserved;
  PageOwners** const place = owners->place_extendable;
  if (is_extendable == (place != nullptr)) return;
  if (is_extendable) {
    PageOwners** const head = &pages->extendable[_mi_bin(owners->block_size)];
    ListFirst<&PageOwners::next_extendable, &PageOwners::place_extendable>(head, owners);
  } else {
    UnlistExtendable(owners);
  }
}

void UnlistExtendable(PageOwners* owners) {
  TakeOffList<&PageOwners::next_extendable, &PageOwners::place_extendable>(owners);
}

bool ShareFreshPage(SharedPages* pages, mi_page_t* page) {
  PageOwners* owners = MakeOwners(page, false);
  if (owners == nullptr || !Publish(page, owners)) return false;
  ListIfExtendable(pages, owners);
  return true;
}

bool ClearOwner(mi_page_t* page, const void* block) {
  PageOwners* owners = OwnersOf(page);
  std::atomic<uint16_t>& owner = owners->MarkAt(block);
  if (owner.load(std::memory_order_relaxed) == kLesseeMark) {
    TASKMEM_DELAY_POINT(lessees_freed);
    return true;
  }
  const uint16_t mark = owner.exchange(0, std::memory_order_relaxed);
  if (mark == 0) return false;
  TASKMEM_DELAY_POINT(owner_cleared);
  if (__builtin_expect(owners->samples.load(std::memory_order_relaxed) != 0, 0) &&
      g_site_table.Forget(reinterpret_cast<uint64_t>(block))) {
    owners->samples.fetch_sub(1, std::memory_order_relaxed);
  }
  CreditAt(block, mark - 1u, owners->block_size);
  return true;
}

bool ConvertToShared(SharedPages* pages, mi_page_t* page, uint32_t slot) {
  PageOwners* owners = MakeOwners(page, true);
  if (owners == nullptr) return false;
  const auto mark = static_cast<uint16_t>(slot + 1);
  // Nobody else sees them yet.
  auto* const marks = reinterpret_cast<uint16_t*>(owners->owner);
  for (uint32_t i = 0; i < page->capacity; ++i) marks[i] = mark;
  uint64_t free_blocks = 0;
  for (mi_block_t* block = page->free; block != nullptr; block = mi_block_next(page, block)) {
    owners->MarkAt(block).store(0, std::memory_order_relaxed);
    ++free_blocks;
  }
  if (!Publish(page, owners)) return false;
  CreditAt(owners->start, slot, free_blocks * owners->block_size);
  CountPage(slot, -1);
  ListIfExtendable(pages, owners);
  return true;
}

void DropOwners(mi_page_t* page) {
  PageOwners* owners = OwnersOf(page);
  UnlistExtendable(owners);
  {
    MutexLock lock(g_shared_mutex);
    if (owners->next != nullptr) owners->next->previous = owners->previous;
    if (owners->previous != nullptr) {
      owners->previous->next = owners->next;
    } else {
      g_shared_pages = owners->next;
    }
  }
  if (owners->converted || owners->lease != 0) {
    // What the lessee has paid for, and blocks whose free had seen the page unshared.
    uint32_t paid = 0;
    for (uint32_t i = 0; i < owners->blocks; ++i) {
      if (owners->owner[i].load(std::memory_order_relaxed) == 0) continue;
      const uint16_t missed = owners->owner[i].exchange(0, std::memory_order_relaxed);
      if (missed == kLesseeMark) {
        ++paid;
      } else if (missed != 0) {
        CreditAt(owners->start, missed - 1u, owners->block_size);
      }
    }
    if (paid != 0) Credit(owners->lease - 1, uint64_t{paid} * owners->block_size);
  }
  const size_t bytes = PageOwners::Bytes(owners->blocks);
  // The array is all zeros by now; clearing the head makes the whole block so.
  memset(static_cast<void*>(owners), 0, sizeof(*owners));
  OwnFree(owners, bytes, /*is_zero=*/true);
}

void ForEachShared(void (*visit)(PageOwners&, void*), void* argument) {
  MutexLock lock(g_shared_mutex);
  for (PageOwners* at = g_shared_pages; at != nullptr; at = at->next) visit(*at, argument);
}

namespace {

struct Folding {
  const SlotSet& from;
  uint32_t to;
};

void FoldShared(PageOwners& owners, void* argument) {
  const auto& folding = *static_cast<Folding*>(argument);
  const auto mark = static_cast<uint16_t>(folding.to + 1);
  for (uint32_t i = 0; i < owners.blocks; ++i) {
    uint16_t old = owners.owner[i].load(std::memory_order_relaxed);
    if (old == 0 || old == kLesseeMark || !folding.from.Contains(old - 1u)) continue;
    // The new owner is charged before it may be credited for a free.
    const uint32_t slot = old - 1u;
    ChargeAt(owners.start, folding.to, owners.block_size);
    const bool moved =
        owners.owner[i].compare_exchange_strong(old, mark, std::memory_order_relaxed);
    CreditAt(owners.start, moved ? slot : folding.to, owners.block_size);
  }
}

}  // namespace

void FoldOwners(const SlotSet& from, uint32_t to) {
  Folding folding{from, to};
  ForEachShared(FoldShared, &folding);
  PageMap::ForEach([&](char* start, std::atomic<uint64_t>& place) {
    uint64_t entry = place.load(std::memory_order_acquire);
    if (!PageMap::IsLarge(entry)) return;
    const uint32_t slot = PageMap::SlotOf(entry);
    if (!from.Contains(slot)) return;
    const uint64_t bytes = PageMap::LargeBytes(entry);
    ChargeAt(start, to, bytes);
    const bool moved = place.compare_exchange_strong(entry, PageMap::Changed(entry, to, bytes),
                                                     std::memory_order_acq_rel);
    CreditAt(start, moved ? slot : to, bytes);
    if (moved) {
      CountPage(slot, -1);
      CountPage(to, 1);
    }
  });
  FoldMappings(from, to);
}

Mutex& SharedPagesMutex() { return g_shared_mutex; }

}  // namespace taskmem
