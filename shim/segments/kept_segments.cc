#include "shim/segments/kept_segments.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "accounting/base/debug.h"
#include "shim/base/os.h"
#include "shim/base/small_space.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mimalloc/seams.h"
#include "shim/mimalloc/types.h"
#include "shim/published/stats_segment.h"
#include "shim/segments/segment_addresses.h"
#include "shim/segments/slack.h"

namespace taskmem {

static_assert(size_t{1} << KeptSegment::kStartShift == MI_SEGMENT_ALIGN);
static_assert(size_t{1} << KeptSegment::kBytesShift == MI_SEGMENT_SLICE_SIZE);

std::atomic<uint64_t> g_kept_segments[KeptSegment::kSlots];

namespace {

// Half a second.
constexpr uint64_t kMostTicks = 8;

std::atomic<uint64_t> g_kept_bytes{0};

// The most that was in memory, when that was last asked. What is charged may never have been there.
std::atomic<uint64_t> g_peak_resident_bytes{0};

void LookAtPeakResident() {
  struct rusage usage = {};
  os::Call(SYS_getrusage, RUSAGE_SELF, reinterpret_cast<long>(&usage));
  g_peak_resident_bytes.store(static_cast<uint64_t>(usage.ru_maxrss) << 10,
                              std::memory_order_relaxed);
}

// What is kept may grow by so much.
bool FitsUnderPeak(uint64_t bytes) {
  // Both sums are exact to 64 KiB a thread, and segments have headers.
  constexpr uint64_t kTolerance = 1 << 20;
  const uint64_t used = g_stats->charged_bytes.load(std::memory_order_relaxed) +
                        g_kept_bytes.load(std::memory_order_relaxed);
  const uint64_t charged = g_stats->peak_charged_bytes.load(std::memory_order_relaxed);
  const uint64_t resident = g_peak_resident_bytes.load(std::memory_order_relaxed);
  return used + bytes <= (charged < resident ? charged : resident) + kTolerance;
}

// A quarter of what may be mapped (`ulimit -v`, -d) is: threads' stacks, and whatever else libc and
// the kernel map, need room and cannot ask for that of what is kept.
bool IsRoomShort() {
  for (const int which : {RLIMIT_AS, RLIMIT_DATA}) {
    MappingLimit limit;
    if (!ReadMappingLimit(which, &limit)) continue;
    if (!limit.is_known || limit.mapped_bytes > limit.bytes / 4) return true;
  }
  return false;
}

bool MayKeep(uint64_t bytes) {
  if (g_stats == nullptr || bytes > KeptSegment::kMostBytes || os::IsSealed() ||
      g_short_until_ns.load(std::memory_order_relaxed) != 0 || IsRoomShort()) {
    return false;
  }
  if (FitsUnderPeak(bytes)) return true;
  LookAtPeakResident();
  return FitsUnderPeak(bytes);
}

// False: every slot has one.
bool Put(const KeptSegment& kept) {
  const uint64_t word = kept.Packed();
  // Before another thread can take it.
  g_slack_bytes.fetch_add(static_cast<int64_t>(kept.bytes), std::memory_order_relaxed);
  g_kept_bytes.fetch_add(kept.bytes, std::memory_order_seq_cst);
  TASKMEM_DELAY_POINT(kept_counted);
  for (std::atomic<uint64_t>& slot : g_kept_segments) {
    uint64_t nothing = 0;
    if (slot.load(std::memory_order_relaxed) == 0 &&
        slot.compare_exchange_strong(nothing, word, std::memory_order_seq_cst)) {
      return true;
    }
  }
  g_kept_bytes.fetch_sub(kept.bytes, std::memory_order_relaxed);
  g_slack_bytes.fetch_sub(static_cast<int64_t>(kept.bytes), std::memory_order_relaxed);
  return false;
}

// False: another thread was first.
bool TakeOut(std::atomic<uint64_t>* slot, uint64_t word) {
  TASKMEM_DELAY_POINT(kept_seen);
  if (!slot->compare_exchange_strong(word, 0, std::memory_order_seq_cst)) return false;
  const uint64_t bytes = KeptSegment::Unpacked(word).bytes;
  TASKMEM_DCHECK(g_kept_bytes.load(std::memory_order_relaxed) >= bytes);
  g_kept_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  g_slack_bytes.fetch_sub(static_cast<int64_t>(bytes), std::memory_order_relaxed);
  return true;
}

void Unmap(const KeptSegment& kept) {
  os::Unmap(reinterpret_cast<char*>(kept.start), WholeWindow(kept.bytes));
}

// The slot for which is_better(word, best word so far) holds against all others; nullptr: none.
template <typename IsBetter>
std::atomic<uint64_t>* Choose(uint64_t* best_word, IsBetter is_better) {
  std::atomic<uint64_t>* best = nullptr;
  *best_word = 0;
  for (std::atomic<uint64_t>& slot : g_kept_segments) {
    const uint64_t word = slot.load(std::memory_order_relaxed);
    if (word == 0 || (best != nullptr && !is_better(word, *best_word))) continue;
    best = &slot;
    *best_word = word;
  }
  return best;
}

// The smallest that is large enough, else the largest.
std::atomic<uint64_t>* ChooseFor(uint64_t bytes, uint64_t* best_word) {
  return Choose(best_word, [bytes](uint64_t word, uint64_t other) {
    const uint64_t size = KeptSegment::Unpacked(word).bytes;
    const uint64_t others_size = KeptSegment::Unpacked(other).bytes;
    if ((size >= bytes) != (others_size >= bytes)) return size >= bytes;
    return size >= bytes ? size < others_size : size > others_size;
  });
}

std::atomic<uint64_t>* ChooseOldest(uint64_t* best_word) {
  const uint64_t now = KeptSegment::TickAt(os::MonotonicNs());
  return Choose(best_word, [now](uint64_t word, uint64_t other) {
    return KeptSegment::Unpacked(word).TicksUntil(now) >
           KeptSegment::Unpacked(other).TicksUntil(now);
  });
}

// The next one's header is as in a new one. False: it may not leave memory.
bool DropHeader(const KeptSegment& kept) {
  return DropPages(reinterpret_cast<char*>(kept.start), MI_SEGMENT_SLICE_SIZE);
}

// The program has locked a part of it at least (mlock), which is for its block's life only.
bool IsLocked(const KeptSegment& kept) {
  return os::Call(SYS_msync, static_cast<long>(kept.start),
                  static_cast<long>(WholeWindow(kept.bytes)), MS_ASYNC | MS_INVALIDATE) == -EBUSY;
}

// The thread may have ended before it could see what was put there.
void LetGoUnlessAwaited() {
  if (!AwaitsKeptSegments()) LetKeptMemoryGo(/*all=*/true);
}

// What lies behind the first `used_bytes` of it is kept on, from where a segment may begin.
void GiveEndBack(const KeptSegment& kept, uint64_t used_bytes) {
  const uint64_t end = kept.start + WholeWindow(kept.bytes);
  const uint64_t used_end = kept.start + used_bytes;
  const uint64_t rest_start = _mi_align_up(used_end, MI_SEGMENT_ALIGN);
  const bool is_whole = rest_start < end && end - rest_start >= MI_SEGMENT_SIZE;
  const uint64_t gap_end = is_whole ? rest_start : end;
  if (used_end < gap_end) {
    os::Unmap(reinterpret_cast<char*>(used_end), gap_end - used_end);
  }
  if (!is_whole) return;
  const KeptSegment rest = {rest_start, end - rest_start, kept.tick};
  if (!DropHeader(rest) || !Put(rest)) return Unmap(rest);
  LetGoUnlessAwaited();
}

// More addresses, behind it or elsewhere. nullptr: there are none, and it is gone.
char* Extend(const KeptSegment& kept, size_t whole_bytes) {
  auto* const start = reinterpret_cast<char*>(kept.start);
  const auto old_bytes = static_cast<long>(WholeWindow(kept.bytes));
  const auto new_bytes = static_cast<long>(whole_bytes);
  if (!os::Failed(os::Call(SYS_mremap, reinterpret_cast<long>(start), old_bytes, new_bytes, 0))) {
    return start;
  }
  char* const target = ReserveAligned(whole_bytes, MI_SEGMENT_ALIGN, 0, PROT_NONE);
  if (target != nullptr &&
      !os::Failed(os::Call(SYS_mremap, reinterpret_cast<long>(start), old_bytes, new_bytes,
                           MREMAP_MAYMOVE | MREMAP_FIXED, reinterpret_cast<long>(target)))) {
    return target;
  }
  // The system unmaps the target before it fails: others may be there by now.
  Unmap(kept);
  return nullptr;
}

char* Fit(const KeptSegment& kept, size_t bytes) {
  auto* start = reinterpret_cast<char*>(kept.start);
  const size_t whole_bytes = WholeWindow(bytes);
  const size_t kept_whole_bytes = WholeWindow(kept.bytes);
  if (kept_whole_bytes > whole_bytes) GiveEndBack(kept, whole_bytes);
  if (kept_whole_bytes < whole_bytes) start = Extend(kept, whole_bytes);
  if (start == nullptr) return nullptr;
  const size_t dirty_bytes = kept.bytes < whole_bytes ? kept.bytes : whole_bytes;
  if (bytes < dirty_bytes) DropPages(start + bytes, dirty_bytes - bytes);
  return start;
}

}  // namespace

bool KeepSegmentMemory(void* start, size_t bytes) {
  const KeptSegment kept = {reinterpret_cast<uint64_t>(start), bytes,
                            KeptSegment::TickAt(os::MonotonicNs())};
  if (!MayKeep(bytes) || !AwaitsKeptSegments()) return false;
  if (IsLocked(kept) || !DropHeader(kept)) return false;
  // Not before: an audit that comes in between takes it for slack by one or the other.
  NoteSegment(static_cast<mi_segment_t*>(start), false);
  if (!Put(kept)) return false;
  LetGoUnlessAwaited();
  return true;
}

char* TakeKeptSegmentMemory(size_t bytes) {
  if (!HasKeptMemory()) return nullptr;
  constexpr int kMostTries = 8;  // others may be first
  for (int i = 0; i < kMostTries; ++i) {
    uint64_t word;
    std::atomic<uint64_t>* const slot = ChooseFor(bytes, &word);
    if (slot == nullptr) return nullptr;
    if (TakeOut(slot, word)) return Fit(KeptSegment::Unpacked(word), bytes);
  }
  return nullptr;
}

bool HasKeptMemory() { return g_kept_bytes.load(std::memory_order_seq_cst) != 0; }

void KeptMemoryAfterFork() {
  if (!HasKeptMemory()) return;
  LetKeptMemoryGo(/*all=*/true);
  const uint64_t torn = g_kept_bytes.exchange(0, std::memory_order_relaxed);
  g_slack_bytes.fetch_sub(static_cast<int64_t>(torn), std::memory_order_relaxed);
}

uint64_t LetKeptMemoryGo(bool all) {
  if (!HasKeptMemory()) return 0;
  const uint64_t now = KeptSegment::TickAt(os::MonotonicNs());
  for (std::atomic<uint64_t>& slot : g_kept_segments) {
    const uint64_t word = slot.load(std::memory_order_relaxed);
    if (word == 0) continue;
    const KeptSegment kept = KeptSegment::Unpacked(word);
    if (!all && kept.TicksUntil(now) < kMostTicks) continue;
    if (TakeOut(&slot, word)) Unmap(kept);
  }
  return g_kept_bytes.load(std::memory_order_seq_cst);
}

void FitKeptMemory() {
  for (uint32_t i = 0; i < KeptSegment::kSlots && HasKeptMemory() && !FitsUnderPeak(0); ++i) {
    uint64_t word;
    std::atomic<uint64_t>* const oldest = ChooseOldest(&word);
    if (oldest == nullptr) return;
    if (TakeOut(oldest, word)) Unmap(KeptSegment::Unpacked(word));
  }
}

}  // namespace taskmem
