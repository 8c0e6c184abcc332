// Shared pages: pages whose blocks belong to several tasks. Each block's owner
// stands in an array beside the page and is charged for that block alone.
//
//   owner[i] = slot + 1    the block is live, and charged to that slot
//   owner[i] = 0           it is free (or about to be pushed on a free list)
//   owner[i] = kLessee     live or free, and charged to the task that the page is leased to, like
//                          a block in a page of its own (lease.h)
//
// Whoever changes an owner from non-zero to zero, by an atomic exchange, credits
// it: a free on any thread, a reuse, the release of the page. So each block is
// credited once, also where a page became shared while a free that had seen it
// unshared was on its way: that block's mark stays until its reuse or the page's
// release finds it.
#ifndef TASKMEM_SHIM_PAGES_SHARED_PAGE_H_
#define TASKMEM_SHIM_PAGES_SHARED_PAGE_H_

#include <atomic>

#include "accounting/base/mutex.h"
#include "shim/books/page_map.h"
#include "shim/contexts/charge.h"
#include "shim/mimalloc/types.h"

namespace taskmem {

// A spare bit of mimalloc's page flags: set, it sends every free in the page to
// the generic path.
inline constexpr uint8_t kSharedFlag = 0x80;

// The mark of what is paid for in a leased page; as a slot, none has it.
inline constexpr uint32_t kLessee = kMaxTaskSlots;
inline constexpr auto kLesseeMark = static_cast<uint16_t>(kLessee + 1);
static_assert(kLessee + 1 == UINT16_MAX);

struct PageOwners {
  PageOwners* next;  // all of them, under a mutex
  PageOwners* previous;
  char* start;
  uint32_t block_size;
  uint32_t blocks;
  uint64_t reciprocal;            // 2^32 / block_size, rounded up
  bool converted;                 // the page was one task's own before
  bool unsettled;                 // its lists may have blocks the lessee has not paid for
  uint8_t run;                    // whose place in Runs::run its blocks go to; the last: to none
  std::atomic<uint16_t> samples;  // live blocks that are samples (sampled_blocks.h)
  mi_page_t* page;
  // Pages with room that was never in use (SharedPages). Where it stands in the list; nullptr: it
  // does not.
  PageOwners** place_extendable;
  PageOwners* next_extendable;
  // Of a leased page (lease.h).
  std::atomic<uint32_t> lease;  // the slot + 1; 0: it is not leased
  uint16_t aside_blocks;        // in number, as of a page's blocks
  uint16_t paid_blocks;         // bear the lessee's mark
  mi_block_t* aside;            // free blocks that nobody has paid for; `used` counts them
  uintptr_t list_state;         // sampled_blocks.h
  std::atomic<uint16_t> owner[];

  // For the first byte of a block. Exact because offsets are multiples of the
  // block size and below 2^19.
  uint32_t IndexOf(const void* block) const {
    return static_cast<uint32_t>(
        (static_cast<uint64_t>(static_cast<const char*>(block) - start) * reciprocal) >> 32);
  }
  std::atomic<uint16_t>& MarkAt(const void* block) { return owner[IndexOf(block)]; }

  // Block i's owner + 1, or 0, for any thread. A lease that ends meanwhile has left its mark on
  // what lives before another one begins.
  uint32_t MarkOf(size_t i) const {
    // Memory that is used for other pages meanwhile says anything.
    constexpr int kMostLooks = 8;
    for (int look = 0; look < kMostLooks; ++look) {
      const uint32_t mark = owner[i].load(std::memory_order_acquire);
      if (mark != kLesseeMark) return mark;
      const uint32_t lessee = lease.load(std::memory_order_acquire);
      if (owner[i].load(std::memory_order_acquire) == kLesseeMark && lessee != 0) {
        return lessee <= kMaxTaskSlots ? lessee : 0;
      }
    }
    return 0;
  }

  // Whole vectors of marks can be read.
  static constexpr uint32_t kPadding = 8;
  static size_t Bytes(uint32_t blocks) {
    return sizeof(PageOwners) + (blocks + kPadding) * sizeof(std::atomic<uint16_t>);
  }
};

// Marks are read by the vector.
static_assert(offsetof(PageOwners, owner) % 16 == 0);

inline bool IsShared(const mi_page_t* page) { return page->flags.full_aligned & kSharedFlag; }

inline PageOwners* OwnersOf(const mi_page_t* page) {
  return reinterpret_cast<PageOwners*>(page->padding[0]);
}

inline char* SliceStart(const void* in_page) {
  return reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(in_page) &
                                 ~(uintptr_t{MI_SEGMENT_SLICE_SIZE} - 1));
}

// Makes `page`, which is initialised and among `pages`, shared. False: no memory.
bool ShareFreshPage(SharedPages* pages, mi_page_t* page);

// Makes a page of the task in `slot` shared: its live blocks stay charged, its
// free ones are credited. Only by the context that owns the page, with the free
// lists collected. False: no memory, and nothing has changed. The caller moves it to `pages`.
bool ConvertToShared(SharedPages* pages, mi_page_t* page, uint32_t slot);

// Puts a page on the list of extendable ones, or takes it off, as its room demands.
void ListIfExtendable(SharedPages* pages, PageOwners* owners);
void UnlistExtendable(PageOwners* owners);

// Marks a block just taken from a shared page as `slot`'s, already charged.
inline void MarkOwner(PageOwners* owners, const void* block, uint32_t slot) {
  std::atomic<uint16_t>& owner = owners->MarkAt(block);
  const auto mark = static_cast<uint16_t>(slot + 1);
  // Nobody else gives a free block without a mark one.
  if (__builtin_expect(!owners->converted, 1) || owner.load(std::memory_order_relaxed) == 0) {
    owner.store(mark, std::memory_order_relaxed);
    return;
  }
  const uint16_t missed = owner.exchange(mark, std::memory_order_relaxed);
  if (missed != 0) CreditAt(block, missed - 1u, owners->block_size);
}

// Credits the owner of a block that is being freed, on any thread; a lessee has paid on. False: it
// is free already.
bool ClearOwner(mi_page_t* page, const void* block);

// Gives the owner array of a page that has no live block back.
void DropOwners(mi_page_t* page);

// Calls visit(const PageOwners&) for every shared page, under the mutex.
void ForEachShared(void (*visit)(PageOwners& owners, void* argument), void* argument);

// Guards the list of them. For fork().
Mutex& SharedPagesMutex();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PAGES_SHARED_PAGE_H_
