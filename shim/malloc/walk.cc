#include "shim/malloc/walk.h"

#include "shim/base/message.h"
#include "shim/books/overflow_book.h"
#include "shim/books/page_map.h"
#include "shim/contexts/context.h"
#include "shim/contexts/contexts_of.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/malloc/mapped_storage.h"
#include "shim/mimalloc/hot.h"
#include "shim/pages/shared_page.h"

namespace taskmem {

bool OwnerOf(const void* address, uint32_t* slot) {
  const uint64_t entry = PageMap::Look(address).entry;
  switch (PageMap::KindOf(entry)) {
    case PageMap::kOwned:
    case PageMap::kLarge:
    case PageMap::kAligned: *slot = PageMap::SlotOf(entry); return true;
    case PageMap::kShared: {
      const auto* owners = static_cast<const PageOwners*>(PageMap::OwnersOf(entry));
      const auto* at = static_cast<const char*>(address);
      // Recycled meanwhile: the size may read 0, the array is still ours to read.
      const uint32_t block_size = owners->block_size;
      if (at < owners->start || block_size == 0) return false;
      const auto index = static_cast<uint64_t>(at - owners->start) / block_size;
      if (index >= owners->blocks) return false;
      const uint32_t mark = owners->MarkOf(index);
      if (mark == 0) return false;
      *slot = mark - 1u;
      return true;
    }
    default: return false;
  }
}

namespace {

// The page at the start of a slice that the page map says is in use.
mi_page_t* PageAt(char* slice) {
  mi_segment_t* segment = _mi_ptr_segment(slice + 1);
  const ptrdiff_t index = (slice - reinterpret_cast<char*>(segment)) >> MI_SEGMENT_SLICE_SHIFT;
  return mi_slice_to_page(mi_slice_first(&segment->slices[index]));
}

bool IsFirstSlice(char* slice) {
  mi_segment_t* segment = _mi_ptr_segment(slice + 1);
  return segment->slices[(slice - reinterpret_cast<char*>(segment)) >> MI_SEGMENT_SLICE_SHIFT]
             .slice_offset == 0;
}

// visit(address, task's slot, bytes, page) for everything that is one task's as a whole: large
// blocks, of `bytes` and of no page, and pages of blocks, of no `bytes`. Of one slot or of all.
template <typename Visit>
void ForEachOfOneTask(uint32_t wanted, Visit visit) {
  PageMap::ForEach([=, &visit](char* slice, std::atomic<uint64_t>& place) {
    const uint64_t entry = place.load();
    if (wanted != kEverySlot && PageMap::SlotOf(entry) != wanted) return;
    const mi_page_t* const none = nullptr;
    if (PageMap::IsLarge(entry)) {
      visit(slice, PageMap::SlotOf(entry), PageMap::LargeBytes(entry), none);
    } else if (PageMap::KindOf(entry) == PageMap::kOwned && IsFirstSlice(slice)) {
      visit(slice, PageMap::SlotOf(entry), uint64_t{0}, PageAt(slice));
    }
  });
}

// visit(address of its page, task's slot, bytes) for every block that lives in a shared page.
template <typename Visit>
void ForEachSharedBlock(Visit visit) {
  ForEachShared(
      [](PageOwners& owners, void* argument) {
        for (uint32_t i = 0; i < owners.blocks; ++i) {
          const uint32_t mark = owners.MarkOf(i);
          if (mark == 0) continue;
          (*static_cast<Visit*>(argument))(owners.start, mark - 1u, owners.block_size);
        }
      },
      &visit);
}

}  // namespace

bool FindBlock(const void* address, BlockPlace* place) {
  if (!OwnerOf(address, &place->slot)) return false;
  auto* const at = static_cast<char*>(const_cast<void*>(address));
  const PageMap::Place found = PageMap::Look(at);
  char* const slice = found.start;
  if (slice == nullptr) return false;
  if (PageMap::IsLarge(found.entry)) {
    // One block fills the page. Its header is not looked at: another thread may be moving the
    // block away with all its memory.
    place->block = place->page = slice;
    return true;
  }
  const mi_page_t* page = PageAt(slice);
  char* const first = PageBegin(_mi_page_segment(page), page);
  if (at < first) return false;
  const auto offset = static_cast<size_t>(at - first);
  place->block = at - offset % mi_page_block_size(page);
  place->page = SliceStart(first);
  return true;
}

bool IsPageOf(const char* page, uint32_t slot) {
  const uint64_t entry = PageMap::OfPage(page);
  switch (PageMap::KindOf(entry)) {
    case PageMap::kOwned:
    case PageMap::kLarge:
    case PageMap::kAligned: return PageMap::SlotOf(entry) == slot;
    case PageMap::kShared: {
      const auto* owners = static_cast<const PageOwners*>(PageMap::OwnersOf(entry));
      for (uint32_t i = 0; i < owners->blocks; ++i) {
        if (owners->owner[i].load(std::memory_order_relaxed) == slot + 1) return true;
      }
      return owners->lease == slot + 1;
    }
    default: return false;
  }
}

void WalkHeaps(uint64_t* bytes, uint64_t* overflow_bytes) {
  const auto add = [=](const char* address, uint32_t slot, uint64_t more) {
    (InOverflow(address) ? overflow_bytes : bytes)[slot] += more;
  };
  bytes[kStorageSlot] += MappedStorageBytes();
  ForEachOfOneTask(kEverySlot, [&add](const char* address, uint32_t slot, uint64_t large,
                                      const mi_page_t* page) {
    add(address, slot,
        page == nullptr ? large : uint64_t{page->capacity} * mi_page_block_size(page));
  });
  ForEachSharedBlock(add);
  AddMappedBytes(bytes);
}

void CountPagesInHeaps(uint64_t* pages) {
  ForEachOfOneTask(kEverySlot, [pages](const char*, uint32_t slot, uint64_t, const mi_page_t*) {
    ++pages[slot];
  });
}

namespace {

struct SizeClassBytes {
  uint64_t bytes[kBins + 1];  // the last: large blocks
};

void CountSizeClasses(uint32_t wanted, SizeClassBytes* counts) {
  ForEachOfOneTask(wanted, [=](const char*, uint32_t, uint64_t large, const mi_page_t* page) {
    if (page == nullptr) {
      counts->bytes[kBins] += large;
    } else {
      const size_t block_size = mi_page_block_size(page);
      counts->bytes[_mi_bin(block_size)] += uint64_t{page->used} * block_size;
    }
  });
  ForEachSharedBlock([=](const char*, uint32_t slot, uint32_t block_size) {
    if (slot == wanted) counts->bytes[_mi_bin(block_size)] += block_size;
  });
}

}  // namespace

void ReportSizeClasses(uint32_t slot) {
  static SizeClassBytes counts;  // one report ends the process
  CountSizeClasses(slot, &counts);
  constexpr int kLines = 5;
  for (int line = 0; line < kLines; ++line) {
    int largest = 0;
    for (int bin = 1; bin <= kBins; ++bin) {
      if (counts.bytes[bin] > counts.bytes[largest]) largest = bin;
    }
    if (counts.bytes[largest] == 0) return;
    if (largest == kBins) {
      Message("  size class over %zu bytes: %llu bytes", size_t{MI_MEDIUM_OBJ_SIZE_MAX},
              static_cast<unsigned long long>(counts.bytes[largest]));
    } else {
      Message("  size class %zu bytes: %llu bytes", _mi_bin_size(static_cast<uint8_t>(largest)),
              static_cast<unsigned long long>(counts.bytes[largest]));
    }
    counts.bytes[largest] = 0;
  }
}

}  // namespace taskmem
