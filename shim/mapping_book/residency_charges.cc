#include "shim/mapping_book/residency_charges.h"

#include <atomic>
#include <cstring>

#include "accounting/audit/residency_table.h"
#include "accounting/tasks/task_book.h"
#include "shim/limit/mapping_limit.h"
#include "shim/mapping_book/locked_book.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

// What is charged by residency, as of the last look; it changes under the mappings' lock.
constinit ResidencyTable g_table = {};
constinit auto& g_charged = g_table.charged_bytes;
// By slot: what this look has found.
constinit uint64_t g_found[kMaxTaskSlots] = {};
// Added since the last look.
constinit std::atomic<uint64_t> g_unseen[kMaxTaskSlots] = {};
// Has ranges that are charged by residency, whatever of them is in memory: as of the last look or
// added since, and as this look has found.
constinit std::atomic<bool> g_has_ranges[kMaxTaskSlots] = {};
constinit bool g_ranges_found[kMaxTaskSlots] = {};

std::atomic<bool> g_has_charged{false};
std::atomic<uint64_t> g_last_total{0};  // charged by residency, of all tasks
std::atomic<uint64_t> g_looks{0};
std::atomic<uint64_t> g_left{0};  // counted as leaving memory since the last look

// While the table changes, and the books with it. The mappings' lock is held.
class TableChange {
 public:
  TableChange() {
    Count();
    std::atomic_thread_fence(std::memory_order_release);
  }
  ~TableChange() { Count(); }
  TableChange(const TableChange&) = delete;
  TableChange& operator=(const TableChange&) = delete;

 private:
  static void Count() {
    g_table.changes.store(g_table.changes.load(std::memory_order_relaxed) + 1,
                          std::memory_order_release);
  }
};

void Add(uint32_t slot, uint64_t bytes) {
  g_charged[slot].fetch_add(bytes, std::memory_order_relaxed);
  g_has_charged.store(true, std::memory_order_relaxed);
  ChargeMappedOverQuota(slot, bytes);
}

}  // namespace

bool HasResidencyToSample() {
  return BytesByResidency() != 0 || g_has_charged.load(std::memory_order_relaxed);
}

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

bool HasResidencyRanges(uint32_t slot) {
  return g_has_ranges[slot].load(std::memory_order_relaxed);
}

uint64_t ChargedByResidency(uint32_t slot) {
  return g_charged[slot].load(std::memory_order_relaxed);
}

uint64_t TotalByResidency() { return g_last_total.load(std::memory_order_relaxed); }

bool ResidencyMeetsQuota() {
  if (g_stats == nullptr) return false;
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (HasResidencyRanges(slot) &&
        g_books[slot].quota_bytes.load(std::memory_order_relaxed) != kNoQuota)
      return true;
  }
  return false;
}

void AddResidency(uint32_t slot, uint64_t bytes) {
  if (bytes == 0) return;
  const TableChange change;
  Add(slot, bytes);
}

void TakeResidency(uint32_t slot, uint64_t bytes) {
  const TableChange change;
  const uint64_t before = g_charged[slot].load(std::memory_order_relaxed);
  if (bytes > before) bytes = before;
  g_charged[slot].store(before - bytes, std::memory_order_relaxed);
  CreditMapped(slot, bytes);
}

void FoldResidency(const SlotSet& from, uint32_t to) {
  // Also where nothing is charged: the ranges have changed hands.
  const TableChange change;
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (!from.Contains(slot)) continue;
    const uint64_t bytes = g_charged[slot].exchange(0, std::memory_order_relaxed);
    if (bytes == 0) continue;
    Add(to, bytes);
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

void FoundRanges(uint32_t slot) { g_ranges_found[slot] = true; }

void FoundResident(uint32_t slot, uint64_t bytes) { g_found[slot] += bytes; }

void SettleFound() {
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  bool has_charged = false;
  uint64_t total = 0;
  const TableChange change;
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

uint64_t EndedLooks() { return g_looks.load(std::memory_order_relaxed); }

uint64_t CountLeaving(uint64_t bytes) {
  return g_left.fetch_add(bytes, std::memory_order_relaxed) + bytes;
}

void ForgetFound() {
  const uint32_t slots = g_stats->task_slots.load();
  memset(g_found, 0, slots * sizeof(g_found[0]));
  memset(g_ranges_found, 0, slots * sizeof(g_ranges_found[0]));
}

void DescribeResidency(AuditLayout* layout) {
  layout->residency = reinterpret_cast<uint64_t>(&g_table);
  layout->residency_range_bytes = reinterpret_cast<uint64_t>(&g_book_place.residency_bytes);
}

}  // namespace taskmem
