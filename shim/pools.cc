#include "shim/pools.h"

#include <new>

#include "accounting/task_grants.h"
#include "accounting/unified_memory_manager.h"
#include "shim/log.h"
#include "shim/memory_limit.h"
#include "shim/stats_segment.h"

namespace taskmem {
namespace {

// Constructed once, in place: no constructor runs at load, no destructor at exit.
alignas(UnifiedMemoryManager) char g_manager_place[sizeof(UnifiedMemoryManager)];
alignas(TaskGrants) char g_grants_place[sizeof(TaskGrants)];
constinit UnmanagedTotals g_unmanaged;
UnifiedMemoryManager* g_manager = nullptr;
TaskGrants* g_grants = nullptr;

// This thread is inside the pools: a signal handler keeps out.
__thread bool t_inside __attribute__((tls_model("initial-exec"))) = false;

class Inside {
 public:
  Inside() : is_entered_(g_grants != nullptr && !t_inside) {
    if (is_entered_) t_inside = true;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~Inside() {
    if (!is_entered_) return;
    ShowPools();
    std::atomic_signal_fence(std::memory_order_seq_cst);
    t_inside = false;
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  explicit operator bool() const { return is_entered_; }

 private:
  static void ShowPools() {
    g_manager->TryVisitPools(MemoryMode::kOffHeap, [](const UnifiedMemoryManager::Pools& pools) {
      const auto show = [](std::atomic<uint64_t>& place, int64_t value) {
        place.store(static_cast<uint64_t>(value), std::memory_order_relaxed);
      };
      PoolStats& stats = g_stats->pools;
      show(stats.execution_size_bytes, pools.execution_size);
      show(stats.execution_used_bytes, pools.execution_used);
      show(stats.storage_size_bytes, pools.storage_size);
      show(stats.storage_used_bytes, pools.storage_used);
      show(stats.overdrawn_bytes, pools.overdrawn);
      show(stats.active_tasks, pools.active_tasks);
    });
  }

  const bool is_entered_;
};

}  // namespace

void OpenPools(const Options& options) {
  const uint64_t memory =
      options.memory_bytes != 0 ? options.memory_bytes : DefaultMemoryBytes();
  // Sums of sizes must not overflow.
  constexpr uint64_t kMost = uint64_t{1} << 60;
  MemoryManagerOptions settings;
  settings.max_off_heap_bytes = static_cast<int64_t>(memory < kMost ? memory : kMost);
  settings.off_heap_storage_region_bytes = static_cast<int64_t>(
      static_cast<double>(settings.max_off_heap_bytes) * options.storage_fraction);
  settings.tungsten_mode = MemoryMode::kOffHeap;
  settings.sharing = options.share;
  settings.unmanaged = &g_unmanaged;
  settings.log = Log();
  g_stats->pools.memory_bytes.store(memory < kMost ? memory : kNoPool);
  g_manager = new (g_manager_place) UnifiedMemoryManager(settings);
  auto* grants = new (g_grants_place)
      TaskGrants(*g_manager, g_books, g_stats->task_slots, g_unmanaged);
  g_manager->SetIdleGrantHolder(grants);
  g_grants = grants;
  // Tasks that were begun by constructors that ran before ours.
  const Inside inside;
  g_grants->Rebuild();
}

void PoolsAfterFork() {
  if (g_grants == nullptr) return;
  t_inside = false;
  g_manager->ResetAfterFork();
  const Inside inside;
  g_grants->Rebuild();
}

uint64_t GrantAtBegin() { return g_grants != nullptr ? 0 : kNoPool; }

ChargeOutcome ChargeFromPools(uint32_t slot, uint64_t bytes) {
  const Inside inside;
  if (inside) return g_grants->AcquireAndCharge(slot, bytes);
  // The next charge that gets in covers this one, too.
  g_books[slot].ChargeOverQuota(bytes);
  return ChargeOutcome::kCharged;
}

uint64_t AcquireAheadInPools(uint32_t slot, uint64_t bytes, int64_t timeout_ns) {
  const Inside inside;
  return inside ? g_grants->AcquireAhead(slot, bytes, timeout_ns) : 0;
}

void CoverByPools(uint32_t slot, uint64_t bytes) {
  if (const Inside inside; inside) g_grants->Cover(slot, bytes);
}

void ReturnIdleToPools(uint32_t slot) {
  if (const Inside inside; inside) g_grants->ReturnIdle(slot);
}

void EndTaskInPools(uint32_t slot) {
  if (const Inside inside; inside) g_grants->EndTask(slot);
}

void ForgetInPools(uint32_t slot) {
  if (const Inside inside; inside) g_grants->Forget(slot);
}

}  // namespace taskmem
