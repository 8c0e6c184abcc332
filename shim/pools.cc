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

__thread uint32_t t_acquiring_slot __attribute__((tls_model("initial-exec"))) = 0;

// The pools ask it from the start; what it asks comes later, if at all.
class StoreWhenOpen final : public BlockEvictor {
 public:
  void Open(BlockEvictor* store) { store_.store(store, std::memory_order_release); }

  Result<int64_t> EvictBlocksToFreeSpace(const std::string_view* for_block, int64_t bytes,
                                         MemoryMode mode) override {
    BlockEvictor* const store = store_.load(std::memory_order_acquire);
    if (store == nullptr) return int64_t{0};
    return store->EvictBlocksToFreeSpace(for_block, bytes, mode);
  }

 private:
  std::atomic<BlockEvictor*> store_{nullptr};
};

constinit StoreWhenOpen g_store;

void ShowPools() {
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

bool Enter() {
  const bool is_entered = g_grants != nullptr && !t_inside;
  if (is_entered) t_inside = true;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  return is_entered;
}

bool LeaveForAWhile() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const bool was_inside = t_inside;
  t_inside = false;
  return was_inside;
}

}  // namespace

InsidePools::InsidePools(bool changes) : is_entered_(Enter()), changes_(changes) {}

InsidePools::~InsidePools() {
  if (!is_entered_) return;
  if (changes_) ShowPools();
  std::atomic_signal_fence(std::memory_order_seq_cst);
  t_inside = false;
}

OutsidePools::OutsidePools() : was_inside_(LeaveForAWhile()) {}

OutsidePools::~OutsidePools() {
  t_inside = was_inside_;
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

UnifiedMemoryManager* Pools() { return g_manager; }

void AttachToPools(BlockEvictor* store) { g_store.Open(store); }

void ExpectStorage(int64_t bytes) { g_grants->ExpectStorage(bytes); }

uint32_t SlotThatAcquires() { return t_acquiring_slot; }

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
  g_manager->SetMemoryStore(&g_store);
  g_manager->SetIdleGrantHolder(grants);
  g_grants = grants;
  // Tasks that were begun by constructors that ran before ours.
  const InsidePools inside;
  g_grants->Rebuild();
}

void PoolsAfterFork() {
  if (g_grants == nullptr) return;
  t_inside = false;
  g_manager->ResetAfterFork();
  const InsidePools inside;
  g_grants->Rebuild();
}

uint64_t GrantAtBegin() { return g_grants != nullptr ? 0 : kNoPool; }

ChargeOutcome ChargeFromPools(uint32_t slot, uint64_t bytes) {
  const InsidePools inside;
  if (inside) return g_grants->AcquireAndCharge(slot, bytes);
  // The next charge that gets in covers this one, too.
  g_books[slot].ChargeOverQuota(bytes);
  return ChargeOutcome::kCharged;
}

uint64_t AcquireAheadInPools(uint32_t slot, uint64_t bytes, int64_t timeout_ns) {
  const InsidePools inside;
  if (!inside) return 0;
  const uint32_t before = t_acquiring_slot;
  t_acquiring_slot = slot;
  const uint64_t acquired = g_grants->AcquireAhead(slot, bytes, timeout_ns);
  t_acquiring_slot = before;
  return acquired;
}

void CoverByPools(uint32_t slot, uint64_t bytes) {
  if (const InsidePools inside; inside) g_grants->Cover(slot, bytes);
}

void ReturnIdleToPools(uint32_t slot) {
  if (const InsidePools inside; inside) g_grants->ReturnIdle(slot);
}

void EndTaskInPools(uint32_t slot) {
  if (const InsidePools inside; inside) g_grants->EndTask(slot);
}

void ForgetInPools(uint32_t slot) {
  if (const InsidePools inside; inside) g_grants->Forget(slot);
}

}  // namespace taskmem
