#include "shim/spilling/spill_host.h"

#include <new>

#include "accounting/base/mutex.h"
#include "accounting/tasks/reclaim_book.h"
#include "shim/base/os.h"
#include "shim/books/after_fork.h"
#include "shim/books/fold.h"
#include "shim/books/own_memory.h"
#include "shim/books/task_registry.h"
#include "shim/books/task_text.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/options/log.h"
#include "shim/own_threads/own_thread.h"
#include "shim/published/events.h"
#include "shim/published/stats_segment.h"
#include "shim/spilling/hook_hang.h"
#include "shim/spilling/reclaim_tables.h"
#include "spill/hooks/spill_hooks.h"

namespace taskmem {

uint32_t g_soft_limit_percent = 0;
__thread uint64_t t_consumer __attribute__((tls_model("initial-exec"))) = 0;

namespace {

int64_t g_timeout_ns = 0;

// Above its soft limit a task is spilled for when it holds this much; 0: at the limit
// itself; kNever: it is under way.
constexpr uint64_t kNever = UINT64_MAX;
std::atomic<uint64_t> g_soft_from_bytes[kMaxTaskSlots];

uint32_t SlotOf(uint64_t task) { return static_cast<uint32_t>(task); }

bool IsLive(uint64_t task) {
  return g_task_slots[SlotOf(task)].generation.load(std::memory_order_acquire) == task >> 32;
}

uint64_t SoftLimit(const TaskBook& book) {
  const uint64_t quota = book.quota_bytes.load(std::memory_order_relaxed);
  return quota == kNoQuota ? kNoQuota : quota / 100 * g_soft_limit_percent;
}

class Host final : public SpillHost {
 public:
  uint64_t MissingBytes(const SpillRequest& request, uint64_t freed_bytes) override {
    // Blocks may have become free of which the books show nothing, and a task that has ended
    // needs nothing any more.
    if (!request.is_soft && request.serve(request.serve_context)) return 0;
    if (!IsLive(request.task)) return 0;
    const uint32_t slot = SlotOf(request.task);
    const TaskBook& book = g_books[slot];
    const uint64_t charged = book.charged_bytes.load(std::memory_order_relaxed);
    if (request.is_soft) {
      const uint64_t limit = SoftLimit(book);
      return charged > limit ? charged - limit : 0;
    }
    const uint64_t quota = book.quota_bytes.load(std::memory_order_relaxed);
    if (charged > quota || request.bytes > quota - charged) {
      return charged - quota + request.bytes;  // may wrap around in between
    }
    // It is the pools that have too little.
    return request.bytes > freed_bytes ? request.bytes - freed_bytes : 1;
  }

  uint64_t ChargedBytes(uint64_t task) override {
    return g_books[SlotOf(task)].charged_bytes.load(std::memory_order_relaxed);
  }

  void CollectFreed(bool everywhere) override {
    CollectOwnContext();
    if (everywhere) CollectOtherContexts();
  }

  void EnterHook(HookState* state) override { new (state->words) HookScope; }
  void LeaveHook(const HookState& state) override { Scope(state)->~HookScope(); }
  void AbandonHook(const HookState& state) override {
    Scope(state)->~HookScope();
    AbandonAllocation();
  }

  bool StartThread(void (*run)(void*), void* argument) override {
    return StartOwnThread({"taskmem-reclaim", run, argument, OwnThread::kHookStackBytes, true});
  }

  bool StartWatchThread(void (*run)(void*), void* argument) override {
    // A handler of a fatal signal starts no threads, nor does who may be killed for it.
    if (os::IsSealed() || os::BlockedFatalSignals() == 1) return false;
    return StartOwnThread({"taskmem-hooks", run, argument, OwnThread::kStackBytes, false});
  }
  int ThreadId() override {
    return os::g_knows_thread_id.load(std::memory_order_relaxed) ? os::ThreadIdOfControlBlock()
                                                                 : os::ThreadId();
  }
  int64_t HangNs() override {
    constexpr int64_t kSecond = 1'000'000'000;
    return g_timeout_ns > 0 ? g_timeout_ns : kSecond;
  }

  void NoteHang(const HookHang& hang) override { TellOfHang(hang); }

  void Count(const SpillCount& count) override {
    ReclaimBook& book = g_reclaim_books[SlotOf(count.task)];
    const auto add = [](std::atomic<uint64_t>& counter, uint64_t value) {
      counter.fetch_add(value, std::memory_order_relaxed);
    };
    if (!IsLive(count.task)) return;
    NoteEvent(EventKind::kSpill, SlotOf(count.task), count.asked_bytes, count.freed_bytes, 0,
              count.is_soft ? kEventSoft : 0);
    LogLine(Log(), LogLevel::kDebug, "%s: a hook was asked for %llu bytes%s and freed %llu",
            TaskText(g_books[SlotOf(count.task)]).c_str(),
            static_cast<unsigned long long>(count.asked_bytes),
            count.is_soft ? " (soft limit)" : "",
            static_cast<unsigned long long>(count.freed_bytes));
    add(count.is_soft ? book.soft_spill_calls : book.spill_calls, 1);
    add(count.is_soft ? book.soft_spill_asked_bytes : book.spill_asked_bytes, count.asked_bytes);
    add(count.is_soft ? book.soft_spill_freed_bytes : book.spill_freed_bytes, count.freed_bytes);
  }

  void NoteException(uint64_t task, const char* name) override {
    LogLine(Log(), LogLevel::kError, "Error while calling spill() on %s of %s: it threw", name,
            TaskText(g_books[SlotOf(task)]).c_str());
  }

  void SoftSpillEnded(uint64_t task, uint64_t unseen_bytes) override {
    const uint32_t slot = SlotOf(task);
    const TaskBook& book = g_books[slot];
    const uint64_t charged = book.charged_bytes.load(std::memory_order_relaxed);
    const uint64_t expected = charged > unseen_bytes ? charged - unseen_bytes : 0;
    // Where it did not help, it is not tried again before the task has grown.
    const uint64_t from = expected > SoftLimit(book) ? expected + SoftLimit(book) / 64 : 0;
    g_soft_from_bytes[slot].store(from, std::memory_order_relaxed);
  }

 private:
  static_assert(sizeof(HookScope) <= sizeof(HookState));
  static HookScope* Scope(const HookState& state) {
    return std::launder(reinterpret_cast<HookScope*>(const_cast<uint64_t*>(state.words)));
  }
};

// Constructed by the first registration: most processes have none.
alignas(Host) char g_host_place[sizeof(Host)];
alignas(SpillHooks) char g_hooks_place[sizeof(SpillHooks)];
std::atomic<SpillHooks*> g_hooks{nullptr};
Mutex g_make_mutex;
// The process that the hooks are of.
std::atomic<int> g_pid{0};

SpillHooks* MakeHooks() {
  const MutexLock lock(g_make_mutex);
  if (SpillHooks* const made = g_hooks.load(std::memory_order_acquire)) return made;
  // Given back is only what two threads made at once, which happens a few times at most.
  const MemorySource memory = {[](size_t bytes, void*) { return OwnAllocate(bytes); },
                               [](void*, void*) {}, nullptr};
  g_pid.store(os::ProcessId(), std::memory_order_relaxed);
  auto* const hooks = new (g_hooks_place) SpillHooks(*new (g_host_place) Host, memory);
  g_hooks.store(hooks, std::memory_order_release);
  PublishConsumers(*hooks);
  return hooks;
}

}  // namespace

void OpenSpillHooks(const Options& options) {
  g_timeout_ns = options.spill_timeout_ns;
  g_soft_limit_percent = options.soft_limit_percent;
}

int64_t SpillTimeoutNs() { return g_timeout_ns; }

bool HasSpillHooks() { return Hooks(/*make=*/false) != nullptr; }

SpillHooks* Hooks(bool make) {
  SpillHooks* const hooks = g_hooks.load(std::memory_order_acquire);
  if (hooks == nullptr && !make) return nullptr;
  const int pid = os::ProcessId();
  if (hooks != nullptr && g_pid.load(std::memory_order_relaxed) == pid) return hooks;
  if (g_stats == nullptr || IsVforkChild()) return nullptr;
  if (hooks == nullptr) return MakeHooks();
  // A child that was made without fork's handlers.
  g_pid.store(pid, std::memory_order_relaxed);
  hooks->ResetInChild();
  return hooks;
}

uint64_t SpillTaskOf(uint32_t slot, uint32_t generation) {
  return uint64_t{generation} << 32 | slot;
}

uint64_t SpillConsumers(const SpillNeed& need) {
  SpillHooks* const hooks = Hooks(/*make=*/false);
  if (hooks == nullptr) return 0;
  SpillRequest request;
  request.task = SpillTaskOf(need.slot, need.generation);
  request.bytes = need.bytes;
  request.trigger = t_consumer;
  request.serve = need.serve;
  request.serve_context = need.request;
  SpillResult result;
  // Whoever waited in vain for another thread's spill asks those who are left.
  for (int i = 0; i < 2; ++i) {
    request.timeout_ns = *need.wait_left_ns;
    result = hooks->Spill(request);
    *need.wait_left_ns -= static_cast<int64_t>(result.waited_ns);
    if (!result.has_joined || !result.has_timed_out || result.freed_bytes != 0) break;
  }
  const bool is_unseen = result.has_joined && !result.has_timed_out && result.freed_bytes == 0;
  return is_unseen ? 1 : result.freed_bytes;
}

namespace {

struct SpillGoal {
  const TaskBook* book;
  uint64_t charged_bytes;
};

}  // namespace

uint64_t SpillTask(uint32_t slot, uint64_t bytes) {
  const uint32_t generation = g_task_slots[slot].generation.load(std::memory_order_acquire);
  const TaskBook& book = g_books[slot];
  const uint64_t before = book.charged_bytes.load();
  SpillGoal goal = {&book, before > bytes ? before - bytes : 0};
  {
    // As where an allocation asks for it.
    const LibraryScope library;
    const auto serve = [](void* packed) {
      const auto& wanted = *static_cast<const SpillGoal*>(packed);
      return wanted.book->charged_bytes.load() <= wanted.charged_bytes;
    };
    int64_t wait_left_ns = SpillTimeoutNs();
    SpillConsumers({slot, generation, bytes, &wait_left_ns, serve, &goal});
  }
  const uint64_t after = book.charged_bytes.load();
  return after < before ? before - after : 0;
}

void NoteSoftLimit(uint32_t slot) {
  if (slot < kFirstTaskSlot) return;
  const TaskBook& book = g_books[slot];
  const uint64_t charged = book.charged_bytes.load(std::memory_order_relaxed);
  std::atomic<uint64_t>& from = g_soft_from_bytes[slot];
  uint64_t seen = from.load(std::memory_order_relaxed);
  if (charged <= SoftLimit(book)) {
    if (seen != 0 && seen != kNever) from.compare_exchange_strong(seen, 0);
    return;
  }
  if (charged < seen || g_process_is_dying.load(std::memory_order_relaxed)) return;
  SpillHooks* const hooks = Hooks(/*make=*/false);
  if (hooks == nullptr || SpillHooks::IsInHook()) return;
  // A handler of a fatal signal starts no threads.
  if (os::BlockedFatalSignals() == 1 || !from.compare_exchange_strong(seen, kNever)) return;
  const uint32_t generation = g_task_slots[slot].generation.load(std::memory_order_acquire);
  if (hooks->RequestSoftSpill(SpillTaskOf(slot, generation))) return;
  uint64_t never = kNever;
  from.compare_exchange_strong(never, charged + SoftLimit(book) / 64);
}

void EndSpillConsumers(uint32_t slot, uint32_t generation) {
  g_soft_from_bytes[slot].store(0, std::memory_order_relaxed);
  SpillHooks* const hooks = Hooks(/*make=*/false);
  if (hooks != nullptr) hooks->EndTask(SpillTaskOf(slot, generation));
}

void AddSpillHookLocks(ForkLocks* locks) {
  locks->Add(g_make_mutex);
  if (SpillHooks* const hooks = g_hooks.load(std::memory_order_acquire)) hooks->AddLocks(locks);
}

void SpillHooksAfterForkInChild() {
  if (SpillHooks* const hooks = g_hooks.load(std::memory_order_acquire)) {
    EnsureOwnBooks();
    hooks->ResetInChild();
    g_pid.store(os::ProcessId(), std::memory_order_relaxed);
    for (uint32_t slot = 0; slot < g_stats->task_slots.load(); ++slot) {
      g_soft_from_bytes[slot].store(0, std::memory_order_relaxed);
    }
  }
}

}  // namespace taskmem
