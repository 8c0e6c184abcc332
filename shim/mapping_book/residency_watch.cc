#include "shim/mapping_book/residency_watch.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "accounting/tasks/task_book.h"
#include "shim/base/os.h"
#include "shim/limit/mapping_limit.h"
#include "shim/mapping_book/residency_charges.h"
#include "shim/mapping_book/residency_look.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

constexpr uint64_t kPage = 4096;

// Of the process, the least since WatchResidency looked: growth hides behind what was freed.
std::atomic<uint64_t> g_last_resident{0};

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

uint64_t NextLookNs() {
  constexpr uint64_t kBytesPerNs = 1;
  // What may be missed: a quarter of 16 MiB, or of 5 % of the quota.
  constexpr uint64_t kLeastMissed = 4 << 20;
  constexpr uint64_t kMissedShare = 80;
  uint64_t wait = static_cast<uint64_t>(ResidencyIntervalNs());
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (!HasResidencyRanges(slot)) continue;
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
  if (SinceLastLookNs() < static_cast<uint64_t>(ResidencyIntervalNs())) {
    const uint64_t now = ResidentNow();
    const uint64_t least = g_last_resident.load(std::memory_order_relaxed);
    if (now != 0 && now < least) g_last_resident.store(now, std::memory_order_relaxed);
    if (now != 0 && now < least + kLittle) return;
  }
  SampleResidency();
  g_last_resident.store(ResidentNow(), std::memory_order_relaxed);
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (ChargedByResidency(slot) == 0) continue;
    const uint64_t quota = QuotaOf(slot);
    if (quota != kNoQuota && ChargedTo(slot) > quota) EndIfOverQuota(slot);
  }
}

}  // namespace taskmem
