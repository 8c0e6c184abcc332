#include "shim/mapping_book/residency.h"

#include <fcntl.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "accounting/tasks/task_book.h"
#include "shim/base/maps_file.h"
#include "shim/base/os.h"
#include "shim/books/book_pieces.h"
#include "shim/books/stats_segment.h"
#include "shim/heap/upcalls.h"
#include "shim/limit/mapping_limit.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/mapping_queries.h"
#include "shim/mapping_book/mappings_table.h"
#include "shim/mapping_book/residency_timer.h"
#include "shim/mapping_book/shared_objects.h"
#include "shim/own_threads/slack_thread.h"

namespace taskmem {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kRestFactor = 50;
constexpr uint64_t kUrgentNs = 100'000;
constexpr uint64_t kUrgentRestFactor = 4;

// By slot: what is charged by residency, as of the last look, and what this look has found.
// The first changes under the mappings' lock.
constinit std::atomic<uint64_t> g_charged[kMaxTaskSlots] = {};
constinit uint64_t g_found[kMaxTaskSlots] = {};
// Added since the last look.
constinit std::atomic<uint64_t> g_unseen[kMaxTaskSlots] = {};
// Has ranges that are charged by residency, whatever of them is in memory: as of the last look or
// added since, and as this look has found.
constinit std::atomic<bool> g_has_ranges[kMaxTaskSlots] = {};
constinit bool g_ranges_found[kMaxTaskSlots] = {};

constinit BookPieces g_pieces;
constinit SharedObjects g_shared_objects(g_pieces.Source());

uint64_t g_interval_ns = 1'000'000'000;
// Who looks now: a thread's control block.
std::atomic<const void*> g_looker{nullptr};
// Somebody knows of a change that the look under way may not have seen: who looks looks again.
std::atomic<bool> g_look_again{false};
std::atomic<bool> g_has_charged{false};
std::atomic<uint64_t> g_last_ns{0};  // when the last look ended
std::atomic<uint64_t> g_last_cost_ns{0};
std::atomic<uint64_t> g_last_total{0};  // charged by residency, of all tasks
// Of the process, the least since WatchResidency looked: growth hides behind what was freed.
std::atomic<uint64_t> g_last_resident{0};
std::atomic<uint64_t> g_looks{0};
// Counted as leaving memory since the last look.
std::atomic<uint64_t> g_left{0};

void Settle(void*) {
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  bool has_charged = false;
  uint64_t total = 0;
  for (uint32_t slot = 0; slot < slots; ++slot) {
    const uint64_t found = g_found[slot];
    total += found;
    const uint64_t charged = g_charged[slot].load(std::memory_order_relaxed);
    if (found > charged) ChargeMappedOverQuota(slot, found - charged);
    if (found < charged) CreditMapped(slot, charged - found);
    if (g_unseen[slot].load(std::memory_order_relaxed) != 0) {
      g_unseen[slot].store(0, std::memory_order_relaxed);
    }
    if (found != charged) g_charged[slot].store(found, std::memory_order_relaxed);
    const bool has_ranges = g_ranges_found[slot];
    if (has_ranges) g_ranges_found[slot] = false;
    if (has_ranges != g_has_ranges[slot].load(std::memory_order_relaxed)) {
      g_has_ranges[slot].store(has_ranges, std::memory_order_relaxed);
    }
    if (found != 0) {
      has_charged = true;
      g_found[slot] = 0;
    }
  }
  g_has_charged.store(has_charged, std::memory_order_relaxed);
  g_last_total.store(total, std::memory_order_relaxed);
  g_left.store(0, std::memory_order_relaxed);
  g_looks.fetch_add(1, std::memory_order_relaxed);
}

bool HasRanges(uint32_t slot) { return g_has_ranges[slot].load(std::memory_order_relaxed); }
uint64_t QuotaOf(uint32_t slot) {
  return g_books[slot].quota_bytes.load(std::memory_order_relaxed);
}
uint64_t ChargedTo(uint32_t slot) {
  return g_books[slot].charged_bytes.load(std::memory_order_relaxed);
}

// Of the process. 0: not known.
uint64_t ResidentNow() {
  char text[128];
  if (os::ReadFile("/proc/self/statm", text, sizeof(text)) <= 0) return 0;
  const char* const second = strchr(text, ' ');
  return second != nullptr ? strtoull(second, nullptr, 10) * kPage : 0;
}

}  // namespace

bool HasResidencyToSample() {
  return MappedBytes(ChargeRule::kResidency) != 0 || g_has_charged.load(std::memory_order_relaxed);
}

void OpenResidency(int64_t interval_ns) { g_interval_ns = static_cast<uint64_t>(interval_ns); }
int64_t ResidencyIntervalNs() { return static_cast<int64_t>(g_interval_ns); }

void NoteSparse(uint32_t slot, uint64_t bytes) {
  g_unseen[slot].fetch_add(bytes, std::memory_order_relaxed);
  g_has_ranges[slot].store(true, std::memory_order_relaxed);
}

bool MayBeNearQuota(uint32_t slot) {
  const TaskBook& book = g_books[slot];
  const uint64_t quota = book.quota_bytes.load(std::memory_order_relaxed);
  if (quota == kNoQuota) return false;
  const uint64_t most = quota - quota / 8;
  const uint64_t charged = book.charged_bytes.load(std::memory_order_relaxed);
  return charged > most || g_unseen[slot].load(std::memory_order_relaxed) > most - charged;
}

__attribute__((noinline)) uint64_t ResidentBytes(uint64_t start, uint64_t end) {
  // Whoever maps may have a small stack.
  constexpr uint64_t kPagesAtOnce = 512;
  unsigned char in_memory[kPagesAtOnce];
  uint64_t pages = 0;
  for (uint64_t at = start; at < end;) {
    const uint64_t bytes = end - at < kPagesAtOnce * kPage ? end - at : kPagesAtOnce * kPage;
    const long result = os::Call(SYS_mincore, static_cast<long>(at), static_cast<long>(bytes),
                                 reinterpret_cast<long>(in_memory));
    at += bytes;
    if (os::Failed(result)) continue;  // unmapped meanwhile
    // Bytes of 0 and 1, the rest of each undefined; eight at a time.
    const uint64_t count = (bytes + kPage - 1) / kPage;
    uint64_t i = 0;
    for (; i + 8 <= count; i += 8) {
      uint64_t eight;
      memcpy(&eight, in_memory + i, sizeof(eight));
      pages += static_cast<uint64_t>(__builtin_popcountll(eight & 0x0101010101010101));
    }
    for (; i < count; ++i) pages += in_memory[i] & 1;
  }
  return pages * kPage;
}

namespace {

// What a look has seen that /proc/self/maps must be read for.
struct Looked {
  bool has_shared = false;
  bool grows_down = false;
};

bool IsShared(const MappingTag& tag) {
  return tag.kind == MappingClass::kSharedAnonymous || tag.kind == MappingClass::kSystemV;
}

// Of [start, end), a private mapping of a file: what has been written to, in memory. All of it,
// where the system does not say. Not inlined: who allocates may lack the stack for all of a look.
__attribute__((noinline)) uint64_t WrittenBytes(uint64_t start, uint64_t end) {
  constexpr uint64_t kPresent = uint64_t{1} << 63;
  constexpr uint64_t kOfFile = uint64_t{1} << 61;
  constexpr uint64_t kPagesAtOnce = 64;  // as in ResidentBytes
  const long pagemap = os::Call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/pagemap"),
                                O_RDONLY | O_CLOEXEC);
  if (os::Failed(pagemap)) return end - start;
  uint64_t entries[kPagesAtOnce];
  uint64_t pages = 0;
  uint64_t page = start / kPage;
  while (page < end / kPage) {
    const uint64_t left = end / kPage - page;
    const uint64_t wanted = (left < kPagesAtOnce ? left : kPagesAtOnce) * sizeof(entries[0]);
    const long got =
        os::Call(SYS_pread64, pagemap, reinterpret_cast<long>(entries), static_cast<long>(wanted),
                 static_cast<long>(page * sizeof(entries[0])));
    if (os::Failed(got) || got < static_cast<long>(sizeof(entries[0]))) break;
    const auto count = static_cast<uint64_t>(got) / sizeof(entries[0]);
    for (uint64_t i = 0; i < count; ++i) pages += (entries[i] & (kPresent | kOfFile)) == kPresent;
    page += count;
  }
  os::Call(SYS_close, pagemap);
  return pages * kPage;
}

// Of a range that is not shared.
uint64_t BytesOf(const MappedRange& range) {
  return range.tag.kind == MappingClass::kFilePrivate ? WrittenBytes(range.start, range.end)
                                                      : ResidentBytes(range.start, range.end);
}

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

// visit(range) for each range, cut to [from, end), that is charged by residency.
template <typename Visit>
void ForEachByResidency(uint64_t from, uint64_t end, Visit visit) {
  constexpr uint32_t kRangesAtOnce = 8;
  MappedRange ranges[kRangesAtOnce];
  while (const uint32_t count = ReadMappings(from, ranges, kRangesAtOnce)) {
    for (uint32_t i = 0; i < count; ++i) {
      MappedRange& range = ranges[i];
      if (range.start >= end) return;
      if (range.start < from) range.start = from;
      from = range.end;
      if (range.end > end) range.end = end;
      if (range.tag.rule == ChargeRule::kResidency) visit(range);
    }
  }
}

__attribute__((noinline)) Looked LookAtPrivateRanges() {
  Looked looked;
  ForEachByResidency(0, UINT64_MAX, [&](const MappedRange& range) {
    if (range.tag.grows_down) looked.grows_down = true;
    g_ranges_found[range.tag.slot] = true;
    if (IsShared(range.tag)) {
      looked.has_shared = true;
    } else {
      g_found[range.tag.slot] += BytesOf(range);
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
      g_found[range.tag.slot] += ResidentBytes(range.start, range.end);
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
  g_found[range.tag.slot] += ResidentBytes(line.start, range.start);
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
    g_shared_objects.End([](uint32_t slot, uint64_t bytes) { g_found[slot] += bytes; });
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
  WithMappingsLocked(Settle, nullptr);
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
  const uint64_t since = os::MonotonicNs() - g_last_ns.load(std::memory_order_relaxed);
  if (since >= (interval > rest ? interval : rest)) SampleResidency();
}

bool ResidencyMeetsQuota() {
  if (g_stats == nullptr) return false;
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (HasRanges(slot) && QuotaOf(slot) != kNoQuota) return true;
  }
  return false;
}

uint64_t NextLookNs() {
  constexpr uint64_t kBytesPerNs = 1;
  // What may be missed: a quarter of 16 MiB, or of 5 % of the quota.
  constexpr uint64_t kLeastMissed = 4 << 20;
  constexpr uint64_t kMissedShare = 80;
  uint64_t wait = g_interval_ns;
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (!HasRanges(slot)) continue;
    const uint64_t quota = QuotaOf(slot);
    if (quota == kNoQuota) continue;
    const uint64_t charged = ChargedTo(slot);
    if (charged > quota) continue;  // nothing to find out
    uint64_t bytes = quota / kMissedShare;
    if (bytes < kLeastMissed) bytes = kLeastMissed;
    if (bytes < quota - charged) bytes = quota - charged;
    if (bytes / kBytesPerNs < wait) wait = bytes / kBytesPerNs;
  }
  return wait;
}

void WatchResidency() {
  constexpr uint64_t kLittle = 1 << 20;
  const uint64_t since = os::MonotonicNs() - g_last_ns.load(std::memory_order_relaxed);
  if (since < g_interval_ns) {
    const uint64_t now = ResidentNow();
    const uint64_t least = g_last_resident.load(std::memory_order_relaxed);
    if (now != 0 && now < least) g_last_resident.store(now, std::memory_order_relaxed);
    if (now != 0 && now < least + kLittle) return;
  }
  SampleResidency();
  g_last_resident.store(ResidentNow(), std::memory_order_relaxed);
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (g_charged[slot].load(std::memory_order_relaxed) == 0) continue;
    const uint64_t quota = QuotaOf(slot);
    if (quota != kNoQuota && ChargedTo(slot) > quota) EndIfOverQuota(slot);
  }
}

LeavingMemory::LeavingMemory(uint64_t start, uint64_t end) {
  // Less is not worth a look of its own: enough of it together is.
  constexpr uint64_t kLittle = 1 << 20;
  constexpr uint64_t kShareOfTotal = 8;
  if (g_book_place.residency_bytes.load(std::memory_order_relaxed) == 0 || HoldsBook()) return;
  uint64_t resident = 0;
  const auto count = [&](uint32_t slot, uint64_t bytes) {
    resident += bytes;
    for (Part& part : parts_) {
      if (&part == parts_ + count_) {
        part = {slot, 0};
        ++count_;
      }
      if (part.slot == slot) {
        part.bytes += bytes;
        return;
      }
    }
  };
  ForEachByResidency(start, end, [&](const MappedRange& range) {
    const uint64_t bytes = BytesOf(range);
    // What is shared may stay in memory elsewhere.
    if (IsShared(range.tag)) {
      resident += bytes;
    } else {
      count(range.tag.slot, bytes);
    }
  });
  if (resident == 0) return;
  const uint64_t left = g_left.fetch_add(resident, std::memory_order_relaxed) + resident;
  const uint64_t total = g_last_total.load(std::memory_order_relaxed);
  if (left < (total / kShareOfTotal < kLittle ? kLittle : total / kShareOfTotal)) {
    count_ = 0;
    return;
  }
  SampleResidency();
  look_ = g_looks.load(std::memory_order_relaxed);
}

void LeavingMemory::ItIsGone() {
  if (count_ == 0 || HoldsBook()) return;
  {
    const LockedBook book;
    if (g_looks.load(std::memory_order_relaxed) == look_ && g_looker.load() == nullptr) {
      for (uint32_t i = 0; i < count_; ++i) {
        std::atomic<uint64_t>& charged = g_charged[parts_[i].slot];
        const uint64_t before = charged.load(std::memory_order_relaxed);
        const uint64_t bytes = parts_[i].bytes < before ? parts_[i].bytes : before;
        charged.store(before - bytes, std::memory_order_relaxed);
        CreditMapped(parts_[i].slot, bytes);
      }
      return;
    }
  }
  // Another look was made meanwhile, or is: it may have seen what is gone.
  g_look_again.store(true);
  SampleResidency();
}

void AddResidency(uint32_t slot, uint64_t bytes) {
  if (bytes == 0) return;
  g_charged[slot].fetch_add(bytes, std::memory_order_relaxed);
  g_has_charged.store(true, std::memory_order_relaxed);
  ChargeMappedOverQuota(slot, bytes);
}

void FoldResidency(const SlotSet& from, uint32_t to) {
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (!from.Contains(slot)) continue;
    const uint64_t bytes = g_charged[slot].exchange(0, std::memory_order_relaxed);
    if (bytes == 0) continue;
    AddResidency(to, bytes);
    CreditMapped(slot, bytes);
  }
}

void AddResidencyBytes(uint64_t* bytes_by_slot) {
  if (!g_has_charged.load(std::memory_order_relaxed)) return;
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    bytes_by_slot[slot] += g_charged[slot].load(std::memory_order_relaxed);
  }
}

void ResidencyAfterForkInChild() {
  // Another thread may have been looking.
  if (g_looker.load(std::memory_order_relaxed) != nullptr) {
    memset(g_found, 0, g_stats->task_slots.load() * sizeof(g_found[0]));
    memset(g_ranges_found, 0, g_stats->task_slots.load() * sizeof(g_ranges_found[0]));
    new (&g_pieces) BookPieces;
    g_shared_objects.ForgetLook();
  }
  g_last_ns.store(0, std::memory_order_relaxed);
  g_looker.store(nullptr, std::memory_order_relaxed);
  g_look_again.store(false, std::memory_order_relaxed);
  ResidencyTimerAfterFork();
  SlackAfterFork();
}

}  // namespace taskmem
