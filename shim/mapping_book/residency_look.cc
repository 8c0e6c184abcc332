#include "shim/mapping_book/residency_look.h"

#include <atomic>
#include <new>

#include "shim/base/maps_file.h"
#include "shim/base/os.h"
#include "shim/books/book_pieces.h"
#include "shim/heap/upcalls.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/mapping_queries.h"
#include "shim/mapping_book/mappings_table.h"
#include "shim/mapping_book/residency_charges.h"
#include "shim/mapping_book/residency_ranges.h"
#include "shim/mapping_book/shared_objects.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

constexpr uint64_t kRestFactor = 50;
constexpr uint64_t kUrgentNs = 100'000;
constexpr uint64_t kUrgentRestFactor = 4;

constinit BookPieces g_pieces;
constinit SharedObjects g_shared_objects(g_pieces.Source());

uint64_t g_interval_ns = 1'000'000'000;
// Who looks now: a thread's control block.
std::atomic<const void*> g_looker{nullptr};
// Somebody knows of a change that the look under way may not have seen: who looks looks again.
std::atomic<bool> g_look_again{false};
std::atomic<uint64_t> g_last_ns{0};  // when the last look ended
std::atomic<uint64_t> g_last_cost_ns{0};

// What a look has seen that /proc/self/maps must be read for.
struct Looked {
  bool has_shared = false;
  bool grows_down = false;
};

// What tells an object from others. The inode of System V memory is its id, which may be 0 or
// the inode of another object.
struct ObjectName {
  uint64_t device;
  uint64_t inode;
};
ObjectName NameOf(const MapsLine& line, const MappingTag& tag) {
  constexpr uint64_t kSystemVDevice = uint64_t{1} << 63;
  if (tag.kind != MappingClass::kSystemV) return {line.device, line.inode};
  return {line.device | kSystemVDevice, line.inode + 1};
}

uint64_t CountResident(uint64_t start, uint64_t bytes) {
  return ResidentBytes(start, start + bytes);
}

__attribute__((noinline)) Looked LookAtPrivateRanges() {
  Looked looked;
  ForEachByResidency(0, UINT64_MAX, [&](const MappedRange& range) {
    if (range.tag.grows_down) looked.grows_down = true;
    FoundRanges(range.tag.slot);
    if (IsShared(range.tag)) {
      looked.has_shared = true;
    } else {
      FoundResident(range.tag.slot, BytesInMemory(range));
    }
  });
  return looked;
}

// One line: what of it is shared memory, counted once wherever it is mapped.
void LookAtSharedLine(const MapsLine& line) {
  ForEachByResidency(line.start, line.end, [&](const MappedRange& range) {
    if (!IsShared(range.tag)) return;
    const uint64_t offset = line.offset + (range.start - line.start);
    const ObjectName name = NameOf(line, range.tag);
    if (!g_shared_objects.Count(name.device, name.inode, offset, range.start,
                                range.end - range.start, range.tag.slot, CountResident)) {
      FoundResident(range.tag.slot, ResidentBytes(range.start, range.end));
    }
  });
}

// The stack-like mapping that the line ends with may have grown below what is known.
void LookBelow(const MapsLine& line) {
  MappedRange range;
  if (ReadMappings(line.start, &range, 1) == 0 || !range.tag.grows_down ||
      range.start <= line.start || range.start >= line.end) {
    return;
  }
  NoteEvent({.kind = MappingEvent::Kind::kMapped,
             .start = line.start,
             .end = range.start,
             .tag = range.tag},
            range.tag.slot, 0);
  FoundResident(range.tag.slot, ResidentBytes(line.start, range.start));
}

__attribute__((noinline)) void LookAtMapsFile(const Looked& looked) {
  if (looked.has_shared) g_shared_objects.Begin();
  ForEachMapsLine([&](const MapsLine& line) {
    // Of no device is what is private and of no file.
    if (looked.has_shared && line.device != 0) LookAtSharedLine(line);
    if (looked.grows_down && line.inode == 0) LookBelow(line);
    return true;
  });
  if (looked.has_shared) {
    g_shared_objects.End(FoundResident);
  }
}

bool BecomeLooker() {
  const void* nobody = nullptr;
  return g_looker.compare_exchange_strong(nobody, __builtin_thread_pointer());
}

void Look() {
  const uint64_t start = os::MonotonicNs();
  const Looked looked = LookAtPrivateRanges();
  if (looked.has_shared || looked.grows_down) LookAtMapsFile(looked);
  {
    const LockedBook book;
    SettleFound();
  }
  PublishMappings(/*with_stacks=*/false);
  const uint64_t end = os::MonotonicNs();
  g_last_cost_ns.store(end - start, std::memory_order_relaxed);
  g_last_ns.store(end, std::memory_order_relaxed);
}

// Until another thread has ended its look. One that this thread is amid, in a handler, goes on
// only afterwards.
void AwaitLook(uint64_t most_ns) {
  const uint64_t start = os::MonotonicNs();
  for (;;) {
    const void* const looker = g_looker.load(std::memory_order_acquire);
    if (looker == nullptr || looker == __builtin_thread_pointer()) return;
    if (os::MonotonicNs() - start >= most_ns) return;
    os::Yield();
  }
}

}  // namespace

void OpenResidency(int64_t interval_ns) { g_interval_ns = static_cast<uint64_t>(interval_ns); }
int64_t ResidencyIntervalNs() { return static_cast<int64_t>(g_interval_ns); }

uint64_t SinceLastLookNs() { return os::MonotonicNs() - g_last_ns.load(std::memory_order_relaxed); }

bool IsAmidLook() { return g_looker.load() != nullptr; }

void SampleResidency() {
  if (g_stats == nullptr || IsInsideMappings() || !HasResidencyToSample()) return;
  if (os::IsSealed()) return;
  while (BecomeLooker()) {
    g_look_again.store(false);
    Look();
    g_looker.store(nullptr);
    if (!g_look_again.load()) return;
  }
}

void SampleResidencyNow() {
  AwaitLook(/*most_ns=*/1'000'000'000);
  SampleResidency();
}

void SampleResidencyIfDue(bool is_urgent) {
  if (g_stats == nullptr || !HasResidencyToSample()) return;
  const uint64_t rest = (is_urgent ? kUrgentRestFactor : kRestFactor) *
                        g_last_cost_ns.load(std::memory_order_relaxed);
  const uint64_t interval = is_urgent ? kUrgentNs : g_interval_ns;
  if (is_urgent) AwaitLook(/*most_ns=*/5'000'000);
  if (SinceLastLookNs() >= (interval > rest ? interval : rest)) SampleResidency();
}

void SampleResidencyAgain() {
  g_look_again.store(true);
  SampleResidency();
}

void LookAfterFork() {
  if (g_looker.load(std::memory_order_relaxed) != nullptr) {
    ForgetFound();
    new (&g_pieces) BookPieces;
    g_shared_objects.ForgetLook();
  }
  g_last_ns.store(0, std::memory_order_relaxed);
  g_looker.store(nullptr, std::memory_order_relaxed);
  g_look_again.store(false, std::memory_order_relaxed);
}

}  // namespace taskmem
