#include "shim/books/pools.h"

#include <new>

#include "accounting/pools/unified_memory_manager.h"
#include "accounting/tasks/task_grants.h"
#include "shim/base/os.h"
#include "shim/books/pool_size.h"
#include "shim/books/slack.h"
#include "shim/options/log.h"
#include "shim/published/stats_segment.h"

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
    show(stats.untouched_bytes, pools.lent);
    show(stats.slack_bytes, CountedSlack());
  });
}

// AcquireAndCharge, after that found too little.
ChargeOutcome AcquireLent(uint32_t slot, uint64_t bytes) {
  constexpr int kMostTries = 16;  // others may take what was lent for this one
  for (int i = 0; i < kMostTries && LendUntouched(g_manager, bytes); ++i) {
    const ChargeOutcome outcome = g_grants->AcquireAndCharge(slot, bytes);
    g_manager->EndLending(MemoryMode::kOffHeap);
    if (outcome != ChargeOutcome::kOverGrant) return outcome;
  }
  return ChargeOutcome::kOverGrant;
}

// Of --memory, what tasks, blocks and those without a task have.
uint64_t UsedWithoutSlack() {
  const PoolStats& stats = g_stats->pools;
  return stats.execution_used_bytes.load(std::memory_order_relaxed) +
         stats.storage_used_bytes.load(std::memory_order_relaxed) +
         g_books[kUntrackedSlot].charged_bytes.load(std::memory_order_relaxed);
}

uint64_t RoomInPools() {
  const uint64_t memory = g_stats->pools.memory_bytes.load(std::memory_order_relaxed);
  if (memory == 0) return kMostMemory;  // not looked up: far more than is used
  const uint64_t used = UsedOfMemory();
  return used < memory ? memory - used : 0;
}

// An eighth of the memory is left at most, and slack is a good part of what is taken.
bool IsNear(uint64_t slack) {
  const uint64_t memory = g_stats->pools.memory_bytes.load(std::memory_order_relaxed);
  if (memory == 0) return false;  // not looked up
  const uint64_t used = UsedWithoutSlack();
  return slack > memory / 32 && used + slack > memory - memory / 8;
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

UnifiedMemoryManager* Pools() {
  if (g_manager != nullptr) LookUpMemory();
  return g_manager;
}

void LookUpMemory() {
  if (!IsMemoryGuessed()) return;
  if (const InsidePools inside; inside) LookUpSize(g_manager);
}

uint64_t SetMemory(uint64_t bytes) {
  const InsidePools inside;
  if (!inside) return 0;
  LookUpSize(g_manager);
  return ChangeSize(g_manager, bytes);
}

uint64_t UsedOfMemory() { return UsedWithoutSlack() + static_cast<uint64_t>(CountedSlack()); }

void AttachToPools(BlockEvictor* store) { g_store.Open(store); }

void ExpectStorage(int64_t bytes) {
  g_grants->NoteSlack(CountedSlack());
  g_grants->ExpectStorage(bytes);
}

void GiveSlackBackFor(uint64_t bytes) {
  const int64_t slack = CountedSlack();
  if (slack == 0) return;
  const UnifiedMemoryManager::Pools pools = g_manager->GetPools(MemoryMode::kOffHeap);
  const int64_t used =
      pools.execution_used + pools.storage_used + pools.unmanaged + pools.overdrawn;
  const int64_t free = pools.execution_size + pools.storage_size - used;
  if (free < slack || static_cast<uint64_t>(free - slack) < bytes) GiveSlackBack();
}

uint32_t SlotThatAcquires() { return t_acquiring_slot; }

bool g_shares_are_limits = false;

void OpenPools(const Options& options) {
  const Sharing sharing = SharingOf(options);
  g_shares_are_limits = sharing != Sharing::kNone;
  // What divides memory by its size wants to know it.
  const bool has_overflow =
      options.overflow == Overflow::kOn ||
      (options.overflow == Overflow::kWhereSpillDir && options.spill_dir[0] != '\0');
  const bool is_guessed =
      options.memory_bytes == 0 && sharing == Sharing::kNone && !has_overflow && !os::IsFiltered();
  MemoryManagerOptions settings;
  FirstSize(options, is_guessed, &settings);
  settings.tungsten_mode = MemoryMode::kOffHeap;
  settings.sharing = sharing;
  settings.unmanaged = &g_unmanaged;
  settings.log = Log();
  g_manager = new (g_manager_place) UnifiedMemoryManager(settings);
  auto* grants =
      new (g_grants_place) TaskGrants(*g_manager, g_books, g_stats->task_slots, g_unmanaged);
  g_manager->SetMemoryStore(&g_store);
  g_manager->SetIdleGrantHolder(grants);
  g_grants = grants;
  // Tasks that were begun by constructors that ran before ours.
  const InsidePools inside;
  g_grants->Rebuild();
}

void PoolsAfterFork() {
  if (g_grants == nullptr || t_inside) return;
  SizeAfterFork();
  g_manager->ResetAfterFork();
  const InsidePools inside;
  g_grants->Rebuild();
}

bool IsInsidePools() { return t_inside; }

uint64_t GrantAtBegin() { return g_grants != nullptr ? 0 : kNoPool; }

ChargeOutcome ChargeFromPools(uint32_t slot, uint64_t bytes) {
  const InsidePools inside;
  if (inside) {
    if (__builtin_expect(IsWorthLookingUp(bytes), 0)) LookUpSize(g_manager);
    const int64_t slack = CountedSlack();
    g_grants->NoteSlack(slack);
    if (slack != 0 && IsNear(static_cast<uint64_t>(slack))) NoteMemoryIsNear();
    const ChargeOutcome outcome = g_grants->AcquireAndCharge(slot, bytes);
    const bool may_lend = outcome == ChargeOutcome::kOverGrant && MemoryIsUnset();
    return may_lend ? AcquireLent(slot, bytes) : outcome;
  }
  // The next charge that gets in covers this one, too.
  g_books[slot].ChargeOverQuota(bytes);
  return ChargeOutcome::kCharged;
}

uint64_t AcquireAheadInPools(uint32_t slot, uint64_t bytes, int64_t timeout_ns) {
  const InsidePools inside;
  if (!inside) return 0;
  LookUpSize(g_manager);
  const uint32_t before = t_acquiring_slot;
  t_acquiring_slot = slot;
  g_grants->NoteSlack(CountedSlack());
  const uint64_t acquired = g_grants->AcquireAhead(slot, bytes, timeout_ns);
  t_acquiring_slot = before;
  return acquired;
}

void CoverByPools(uint32_t slot, uint64_t bytes) {
  if (const InsidePools inside; inside) g_grants->Cover(slot, bytes);
}

void ReturnMuchIdleToPools(uint32_t slot, uint64_t charged, uint64_t bytes) {
  const uint64_t most = TaskGrants::MostIdle(bytes, RoomInPools());
  if (TaskGrants::HasMuchIdle(g_books[slot], charged, most, g_stats->pools.overdrawn_bytes)) {
    ReturnIdleToPools(slot);
  }
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
