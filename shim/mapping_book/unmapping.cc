#include "shim/mapping_book/unmapping.h"

#include <atomic>

#include "accounting/base/debug.h"
#include "shim/base/os.h"
#include "shim/mapping_book/locked_book.h"

namespace taskmem {
namespace {

// One that is noted, and not known to be made. Taken under the book's lock, and released
// without.
struct alignas(64) Unmapping {
  static constexpr uint32_t kMostParts = 8;

  std::atomic<bool> is_used;
  const void* thread;  // its control block: the same in a child that it forks
  uint64_t start;
  uint64_t end;
  uint32_t parts;
  Region part[kMostParts];
};
constexpr int kUnmappings = 32;
constinit Unmapping g_unmappings[kUnmappings] = {};

Unmapping* FreeUnmapping() {
  for (Unmapping& unmapping : g_unmappings) {
    if (!unmapping.is_used.load(std::memory_order_acquire)) return &unmapping;
  }
  return nullptr;
}

}  // namespace

long UnmapNoted(uint64_t start, uint64_t end, long call, long a, long b) {
  const MappingEvent event = {.kind = MappingEvent::Kind::kUnmapped, .start = start, .end = end};
  if (__builtin_expect(HoldsBook(), 0)) {
    LeaveNote(event);
    return os::Call(call, a, b);
  }
  LengthChanges changes(ApplyLength);
  Unmapping* unmapping;
  long result = 0;
  {
    LockedBook book;
    unmapping = FreeUnmapping();
    if (unmapping != nullptr) {
      unmapping->parts =
          book->TakeFew(start, end, unmapping->part, Unmapping::kMostParts, &changes);
      if (unmapping->parts <= Unmapping::kMostParts) {
        unmapping->thread = __builtin_thread_pointer();
        unmapping->start = start;
        unmapping->end = end;
        unmapping->is_used.store(true, std::memory_order_release);
      } else {
        unmapping = nullptr;
      }
    }
    if (__builtin_expect(unmapping == nullptr, 0)) {
      // Too much to be kept: nobody else gets the addresses while the lock is held.
      result = os::Call(call, a, b);
      if (!os::Failed(result)) book->Apply(event, &changes);
    }
  }
  TASKMEM_DELAY_POINT(unmap_noted);
  if (__builtin_expect(unmapping != nullptr, 1)) {
    result = os::Call(call, a, b);
    if (__builtin_expect(os::Failed(result), 0)) {
      LockedBook()->PutBack(unmapping->part, unmapping->parts, &changes);
    }
    unmapping->is_used.store(false, std::memory_order_release);
  }
  TASKMEM_DELAY_POINT(unmapped);
  changes.ApplyAll();
  CatchUpWithNotes();
  return result;
}

void UnmappingsAfterFork() {
  for (Unmapping& unmapping : g_unmappings) {
    // A signal handler of the thread that unmaps has forked: it goes on in the child.
    if (!unmapping.is_used.load() || unmapping.thread == __builtin_thread_pointer()) continue;
    // The parent's thread had not credited them yet, or the books are counted anew.
    LengthChanges ignored([](uint32_t, int64_t) {});
    LockedBook()->PutBack(unmapping.part, unmapping.parts, &ignored);
    Resynchronise(unmapping.start, unmapping.end);
    unmapping.is_used.store(false);
  }
}

}  // namespace taskmem
