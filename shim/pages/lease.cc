#include "shim/pages/lease.h"

#include "accounting/base/debug.h"
#include "shim/mimalloc/hot.h"
#include "shim/mimalloc/seams.h"
#include "shim/pages/sampled_blocks.h"

namespace taskmem {

namespace {

// How many blocks a pair pays for at a time.
uint32_t LeaseStep(uint32_t block_size) {
  constexpr uint32_t kMostBytes = 8192;
  constexpr uint32_t kMostBlocks = 64;
  const uint32_t blocks = kMostBytes / block_size;
  return blocks == 0 ? 1 : blocks < kMostBlocks ? blocks : kMostBlocks;
}

// Whose number a block has in its page, as IndexOf, for loops that store marks: nothing is read
// again for each block.
class BlockNumbers {
 public:
  explicit BlockNumbers(const PageOwners& owners)
      : start_(owners.start), reciprocal_(owners.reciprocal) {}
  uint32_t Of(const void* block) const {
    const auto offset = static_cast<uint64_t>(static_cast<const char*>(block) - start_);
    return static_cast<uint32_t>(offset * reciprocal_ >> 32);
  }

 private:
  const char* const start_;
  const uint64_t reciprocal_;
};

// Eight marks at once. Others may clear some meanwhile: each is seen before or after.
typedef uint16_t Marks __attribute__((vector_size(16), may_alias));
constexpr uint32_t kMarksAtOnce = sizeof(Marks) / sizeof(uint16_t);
static_assert(PageOwners::kPadding >= kMarksAtOnce);

const Marks* MarksOf(const PageOwners* owners) {
  return reinterpret_cast<const Marks*>(owners->owner);
}
// As many vectors hold the marks of all blocks that were ever in use. Behind these they are 0.
uint32_t VectorsOf(const PageOwners* owners) {
  return (owners->page->capacity + kMarksAtOnce - 1) / kMarksAtOnce;
}

// How many blocks that were ever in use bear no mark.
uint32_t CountUnmarked(const PageOwners* owners) {
  const Marks* const marks = MarksOf(owners);
  const uint32_t vectors = VectorsOf(owners);
  Marks found = {};
  for (uint32_t i = 0; i < vectors; ++i) found -= static_cast<Marks>(marks[i] == 0);
  uint32_t sum = 0;
  for (uint32_t lane = 0; lane < kMarksAtOnce; ++lane) sum += found[lane];
  return sum - (vectors * kMarksAtOnce - owners->page->capacity);
}

// Puts a free block that is on no list aside. `used` counts it.
void PutAside(PageOwners* owners, mi_block_t* block) {
  mi_block_set_next(owners->page, block, owners->aside);
  owners->aside = block;
  ++owners->aside_blocks;
  ++owners->page->used;
}

// Pays for the first `blocks`, which have been charged, of the `free_blocks` on `list`, and puts
// the others aside. The page shows them last: a handler may allocate.
void PayForFirst(PageOwners* owners, mi_block_t* list, uint32_t blocks, uint32_t free_blocks) {
  mi_page_t* const page = owners->page;
  const BlockNumbers numbers(*owners);
  mi_block_t* block = list;
  mi_block_t* last = nullptr;
  for (uint32_t i = 0; i < blocks; ++i) {
    std::atomic<uint16_t>& owner = owners->owner[numbers.Of(block)];
    if (__builtin_expect(owner.load(std::memory_order_relaxed) == 0, 1)) {
      owner.store(kLesseeMark, std::memory_order_relaxed);
    } else {
      MarkOwner(owners, block, kLessee);
    }
    last = block;
    block = mi_block_next(page, block);
  }
  mi_block_set_next(page, last, nullptr);
  owners->paid_blocks = static_cast<uint16_t>(owners->paid_blocks + blocks);
  owners->aside = block;
  owners->aside_blocks = static_cast<uint16_t>(free_blocks - blocks);
  page->used += free_blocks - blocks;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  page->free = list;
}

// No free list of a leased page that nobody has added to has a block which is not paid for.
inline void AssertPaid([[maybe_unused]] const mi_page_t* page) {
#ifdef TASKMEM_DEBUG
  for (mi_block_t* block = page->free; block != nullptr; block = mi_block_next(page, block)) {
    TASKMEM_DCHECK(OwnersOf(page)->MarkAt(block).load(std::memory_order_relaxed) != 0);
  }
#endif
}

}  // namespace

void SettleLease(mi_page_t* page) {
  PageOwners* const owners = OwnersOf(page);
  if (page->free == nullptr) return;
  if (!owners->unsettled) return AssertPaid(page);
  if (page->local_free == nullptr) owners->unsettled = false;
  // What is put aside may bear the mark of one that was slower than Unlease: no number says that
  // none is on the list, but 0.
  if (CountUnmarked(owners) == 0) return;
  uint32_t unpaid = 0;
  for (mi_block_t* block = page->free; block != nullptr; block = mi_block_next(page, block)) {
    if (owners->MarkAt(block).load(std::memory_order_relaxed) == 0) ++unpaid;
  }
  if (unpaid == 0) return;
  TASKMEM_DELAY_POINT(lease_settles);
  const bool is_paid =
      Charge(owners->lease - 1, uint64_t{unpaid} * owners->block_size, ChargeMode::kWithinQuota);
  auto** place = &page->free;
  for (mi_block_t* block = page->free; block != nullptr; block = *place) {
    mi_block_t* const next = mi_block_next(page, block);
    std::atomic<uint16_t>& owner = owners->MarkAt(block);
    if (owner.load(std::memory_order_relaxed) == 0) {
      if (!is_paid) {
        *place = next;
        PutAside(owners, block);
        continue;
      }
      owner.store(kLesseeMark, std::memory_order_relaxed);
      ++owners->paid_blocks;
    }
    place = reinterpret_cast<mi_block_t**>(&block->next);
  }
}

__attribute__((noinline)) void TakeFromAside(mi_page_t* page) {
  PageOwners* const owners = OwnersOf(page);
  if (owners->aside == nullptr) return;
  uint32_t blocks = LeaseStep(owners->block_size);
  if (blocks > owners->aside_blocks) blocks = owners->aside_blocks;
  if (!ChargeSome(owners->lease - 1, &blocks, owners->block_size, ChargeMode::kWithinQuota)) return;
  const uint32_t free_blocks = owners->aside_blocks;
  page->used -= free_blocks;
  PayForFirst(owners, owners->aside, blocks, free_blocks);
}

void CollectLeased(mi_page_t* page) {
  if (mi_page_thread_free(page) != nullptr) {
    OwnersOf(page)->unsettled = true;
    CollectFreedByOthers(page);
  }
  if (page->free != nullptr || page->local_free == nullptr) return;
  page->free = page->local_free;
  page->local_free = nullptr;
  page->is_zero = false;
}

void CollectFreed(mi_page_t* page) {
  if (!IsLeased(page)) return _mi_page_free_collect(page, false);
  CollectLeased(page);
  SettleLease(page);
  // The block that is freed next.
  OwnersOf(page)->unsettled = true;
}

void PutFirst(mi_heap_t* heap, mi_page_queue_t* queue, mi_page_t* page) {
  if (queue->first != nullptr) queue->first->retire_expire = 0;
  QueuePage(heap, queue, page);
}

bool Lease(Context* context, Pair* pair, uint8_t bin, mi_page_t* page, ChargeMode mode) {
  PageOwners* const owners = OwnersOf(page);
  if (page->local_free != nullptr) _mi_page_free_collect(page, true);
  const uint32_t free_blocks = FreeBlocks(page);
  const uint32_t step = LeaseStep(owners->block_size);
  uint32_t blocks = free_blocks <= step + step / 2 ? free_blocks : step;
  if (!ChargeSome(pair->slot, &blocks, owners->block_size, mode)) return false;
  UnqueuePage(&context->shared.heap.pages[bin], page);
  UnlistExtendable(owners);
  // Who has looked already gives what he frees to the shared heap, which stays.
  mi_page_set_heap(page, pair->heap);
  page->retire_expire = 0;
  owners->lease.store(pair->slot + 1, std::memory_order_release);
  owners->list_state = kListNotCounted;
  owners->unsettled = false;
  TASKMEM_DELAY_POINT(leased);
  PayForFirst(owners, page->free, blocks, free_blocks);
  PutFirst(pair->heap, &pair->heap->pages[bin], page);
  return true;
}

namespace {

// What is paid for on the page's free list is nobody's from here on. Returns the number of these
// blocks, which the caller credits; *last is where the list ends.
uint32_t UnmarkFree(PageOwners* owners, mi_block_t** last) {
  const BlockNumbers numbers(*owners);
  uint32_t count = 0;
  mi_block_t* at = nullptr;
  for (mi_block_t* block = owners->page->free; block != nullptr;
       block = mi_block_next(owners->page, block)) {
    at = block;
    std::atomic<uint16_t>& owner = owners->owner[numbers.Of(block)];
    if (__builtin_expect(owner.load(std::memory_order_relaxed) != kLesseeMark, 0)) continue;
    owner.store(0, std::memory_order_relaxed);
    ++count;
  }
  *last = at;
  owners->paid_blocks = static_cast<uint16_t>(owners->paid_blocks - count);
  return count;
}

// What is aside goes back on the free list, behind `last` of it.
void TakeAllFromAside(PageOwners* owners, mi_block_t* last) {
  mi_page_t* const page = owners->page;
  if (owners->aside == nullptr) return;
  if (last == nullptr) {
    page->free = owners->aside;
  } else {
    mi_block_set_next(page, last, owners->aside);
  }
  page->used -= owners->aside_blocks;
  owners->aside_blocks = 0;
  owners->aside = nullptr;
}

// What lives of the lessee bears its own mark from here on.
void MarkLive(PageOwners* owners) {
  const Marks* const marks = MarksOf(owners);
  const auto mark = static_cast<uint16_t>(owners->lease);
  uint32_t left = owners->paid_blocks;
  // Before others see the marks.
  if (left != 0) owners->converted = true;
  for (uint32_t i = 0; left != 0 && i < VectorsOf(owners); ++i) {
    typedef uint64_t Halves __attribute__((vector_size(16)));
    const auto found = reinterpret_cast<Halves>(marks[i] == kLesseeMark);
    if ((found[0] | found[1]) == 0) continue;
    for (uint32_t j = i * kMarksAtOnce; j < (i + 1) * kMarksAtOnce; ++j) {
      if (owners->owner[j].load(std::memory_order_relaxed) != kLesseeMark) continue;
      owners->owner[j].store(mark, std::memory_order_relaxed);
      --left;
    }
  }
  TASKMEM_DCHECK(left == 0);
  owners->paid_blocks = 0;
}

}  // namespace

uint64_t Unlease(SharedPages* pages, mi_page_t* page) {
  PageOwners* const owners = OwnersOf(page);
  _mi_page_free_collect(page, true);
  TASKMEM_DELAY_POINT(unlease_collected);
  mi_block_t* last = nullptr;
  const uint64_t bytes = uint64_t{UnmarkFree(owners, &last)} * owners->block_size;
  MarkLive(owners);
  TASKMEM_DELAY_POINT(unlease_marked);
  TakeAllFromAside(owners, last);
  owners->lease.store(0, std::memory_order_release);
  ListIfExtendable(pages, owners);
  return bytes;
}

void TrimLease(mi_page_t* page) {
  PageOwners* const owners = OwnersOf(page);
  _mi_page_free_collect(page, true);
  mi_block_t* last = nullptr;
  const uint32_t unpaid = UnmarkFree(owners, &last);
  if (unpaid != 0) Credit(owners->lease - 1, uint64_t{unpaid} * owners->block_size);
  while (page->free != nullptr) {
    mi_block_t* block = page->free;
    page->free = mi_block_next(page, block);
    PutAside(owners, block);
  }
  if (page->used == owners->aside_blocks) {
    TakeAllFromAside(owners, nullptr);
  } else if (owners->aside != nullptr && mi_page_is_in_full(page)) {
    _mi_page_unfull(page);
  }
}

}  // namespace taskmem
