// Requests for execution memory: passes, eviction, waiting, waking.
#include <algorithm>

#include "accounting/base/futex.h"
#include "accounting/pools/unified_memory_manager.h"

namespace taskmem {

// A request on its way, on the stack of the thread that makes it. It is linked while its
// thread has given the lock up. While that thread waits it belongs to whoever holds the
// lock; once it is signalled, to its thread again.
struct UnifiedMemoryManager::Waiter {
  explicit Waiter(const ExecutionRequest& the_request) : request(the_request) {}

  const ExecutionRequest& request;
  int64_t grant = 0;
  MemoryError error;
  Pass pass = Pass::kMustWait;
  bool has_registered = false;
  bool has_evicted = false;     // in vain, and nothing has changed since
  bool has_asked_back = false;  // idle grants
  bool has_logged = false;
  int64_t move_bytes = 0;   // kMustEvict: free storage to take, besides
  int64_t evict_bytes = 0;  // what eviction frees
  int64_t deadline_ns = 0;  // of the monotonic clock; 0: not set yet

  Waiter* next = nullptr;
  Waiter* previous = nullptr;
  bool is_waiting = false;
  bool has_ended = false;  // its task has
  std::atomic<uint32_t> signalled{0};
};

GrantLimits UnifiedMemoryManager::LimitsFor(const ModePools& pools) const {
  const int64_t beside = BesidePools(pools);
  GrantLimits limits = {};
  limits.max_pool_bytes = std::max<int64_t>(
      0, pools.max_bytes - std::min(pools.storage.used(), pools.region_bytes) - beside);  // UMM-6
  limits.divide = options_.sharing == Sharing::kSpark;
  limits.keeps_shares = options_.sharing == Sharing::kFair;
  if (IsSpark()) {
    limits.min_pool_bytes = pools.execution.size();
    limits.free_bytes = pools.execution.free();
  } else {
    const int64_t left = pools.max_bytes - pools.execution.used() - pools.storage.used() - beside;
    limits.free_bytes = std::min(pools.execution.free(), std::max<int64_t>(0, left));
    // Of what active tasks have and could have now, not of the pool's size: else a task
    // could wait for what nobody can give (UNM-7).
    limits.min_pool_bytes = pools.execution.used() - pools.execution.retired() + limits.free_bytes;
  }
  return limits;
}

// UMM-4: what execution takes from storage for a request of `bytes`, of which `enough` are
// worth an eviction: free memory at any rate, blocks only above the region.
void UnifiedMemoryManager::PlanGrowth(const ModePools& pools, int64_t bytes, int64_t enough,
                                      int64_t* move_bytes, int64_t* evict_bytes) const {
  const int64_t free = pools.storage.free();
  const int64_t reclaimable = std::max(free, pools.storage.size() - pools.region_bytes);
  const auto reclaim = [&](int64_t wanted) {
    return std::max<int64_t>(0, std::min(wanted - pools.execution.free(), reclaimable));
  };
  *move_bytes = std::min(reclaim(bytes), free);
  *evict_bytes = std::max<int64_t>(0, reclaim(enough) - *move_bytes);
  if (IsSpark()) return;
  // What is unmanaged has to be made up for, too.
  const int64_t excess =
      pools.execution.used() + pools.storage.used() - pools.max_bytes + BesidePools(pools);
  const int64_t needed = excess > INT64_MAX - enough ? INT64_MAX : excess + enough;
  *evict_bytes =
      std::max(*evict_bytes, std::min(needed, pools.storage.used() - pools.region_bytes));
}

// One pass of EXEC-3 for a request. Takes nothing unless it answers.
UnifiedMemoryManager::Pass UnifiedMemoryManager::RunPass(Waiter& waiter) {
  const ExecutionRequest& request = waiter.request;
  ModePools& pools = PoolsOf(request.mode);
  if (waiter.has_ended) {
    waiter.error = MemoryError(ErrorCode::kTaskEnded, request.bytes);
    return Pass::kFailed;
  }

  // (a), (b)
  if (!waiter.has_registered || !IsSpark()) {
    bool inserted = false;
    if (!pools.execution.Register(request.task, &inserted)) {
      waiter.error = MemoryError(ErrorCode::kTooManyTasks);
      return Pass::kFailed;
    }
    if (inserted) Notify();
    waiter.has_registered = true;
  } else if (!pools.execution.Has(request.task)) {
    waiter.error = MemoryError(ErrorCode::kKeyNotFound, request.task);
    return Pass::kFailed;
  }

  const int64_t enough = request.at_least > 0 ? request.at_least : request.bytes;

  // (c). Nothing is evicted for a grant that the cap forbids.
  const bool may_evict =
      request.may_evict && !waiter.has_evicted &&
      request.at_least <= pools.execution.Headroom(request.task, LimitsFor(pools));
  // What is kept for others is counted of all there is: free storage is execution's to take.
  const bool keeps_shares = options_.sharing == Sharing::kFair;
  PlanGrowth(pools, keeps_shares ? std::max(request.bytes, pools.max_bytes) : request.bytes, enough,
             &waiter.move_bytes, &waiter.evict_bytes);
  if (waiter.evict_bytes > 0 && may_evict) return Pass::kMustEvict;
  if (waiter.move_bytes > 0) MoveToExecution(pools, waiter.move_bytes);
  waiter.has_evicted = false;

  // (d) to (h)
  const ExecutionMemoryPool::Decision decision =
      pools.execution.Decide(request.task, request.bytes, LimitsFor(pools));
  if (decision.grant < enough) {
    if (holder_ != nullptr && !waiter.has_asked_back) return Pass::kMustAskBack;
    if (decision.must_wait) return Pass::kMustWait;
  }
  waiter.grant = decision.grant < request.at_least ? 0 : decision.grant;
  pools.execution.Grant(request.task, waiter.grant);
  return Pass::kAnswered;
}

// Apart: an error is large, and whoever allocates may have a small stack.
__attribute__((noinline)) bool UnifiedMemoryManager::HasLostBalance(Waiter& waiter) {
  waiter.error = CheckBalance(PoolsOf(waiter.request.mode));
  return static_cast<bool>(waiter.error);
}

Result<int64_t> UnifiedMemoryManager::AcquireExecutionMemory(const ExecutionRequest& request) {
  if (request.bytes < 0 || request.at_least < 0 || request.at_least > request.bytes) {
    return MemoryError(ErrorCode::kInvalidArgument, request.bytes);
  }
  if (request.bytes == 0) return MemoryError(ErrorCode::kInvalidRequest, request.bytes);
  Waiter waiter(request);
  mutex_.Lock();
  waiter.pass = HasLostBalance(waiter) ? Pass::kFailed : RunPass(waiter);
  for (;;) {
    switch (waiter.pass) {
      case Pass::kAnswered:
        if (waiter.grant == 0) DropEmptyKey(request);
        UnlockAndWake();
        return waiter.grant;
      case Pass::kFailed:
        DropEmptyKey(request);
        UnlockAndWake();
        return waiter.error;
      case Pass::kMustEvict: EvictForExecution(waiter); break;
      case Pass::kMustAskBack:
        waiter.has_asked_back = true;
        Link(waiter);
        mutex_.Unlock();
        holder_->ReturnIdleGrants(request.mode, &request.task);
        mutex_.Lock();
        Unlink(waiter);
        waiter.has_registered = false;
        waiter.pass = RunPass(waiter);
        break;
      case Pass::kMustWait:
        if (Wait(waiter)) return waiter.grant;
        break;
    }
  }
}

// Makes room for a pass that must evict, and ends it.
void UnifiedMemoryManager::EvictForExecution(Waiter& waiter) {
  const MemoryMode mode = waiter.request.mode;
  const uint64_t changes = evictable_changes_;
  Link(waiter);
  mutex_.Unlock();
  const Result<int64_t> freed =
      store_ != nullptr ? store_->EvictBlocksToFreeSpace(nullptr, waiter.evict_bytes, mode)
                        : Result<int64_t>(MemoryError(ErrorCode::kNoMemoryStore));
  mutex_.Lock();
  Unlink(waiter);
  // Only a wait can lose the task's key (EXEC-4): in Spark this is one step.
  waiter.has_registered = false;
  if (!freed.ok()) {
    waiter.error = freed.error();  // the pools are as they were (STORE-5)
    waiter.pass = Pass::kFailed;
    return;
  }
  // Whole blocks were freed, and all of it moves (STORE-6), where another thread has not
  // taken it meanwhile. If one has, the next pass evicts once more.
  const int64_t moved =
      *freed > INT64_MAX - waiter.move_bytes ? INT64_MAX : waiter.move_bytes + *freed;
  if (*freed > 0) MoveToExecution(PoolsOf(mode), moved);
  waiter.has_evicted = *freed <= 0 && evictable_changes_ == changes;
  waiter.pass = RunPass(waiter);
}

// Waits for an answer to the request. True: it has been granted, and the lock is not
// held. False: the lock is held, and waiter.pass says what is next.
bool UnifiedMemoryManager::Wait(Waiter& waiter) {
  const ExecutionRequest& request = waiter.request;
  const auto fail = [&waiter](ErrorCode code) {
    waiter.error = MemoryError(code, waiter.request.bytes);
    waiter.pass = Pass::kFailed;
    return false;
  };
  if (request.timeout_ns <= 0) return fail(ErrorCode::kTimedOut);
  if (request.cancellation != nullptr && request.cancellation->is_cancelled()) {
    return fail(ErrorCode::kInterrupted);
  }
  if (!waiter.has_logged) {
    // Before it counts as waiting; if the pools change meanwhile it looks again.
    waiter.has_logged = true;
    const uint64_t changes = changes_ + 1;
    Link(waiter);
    UnlockAndWake();
    LogLine(options_.log, LogLevel::kInfo,
            "TID %lld waiting for at least 1/2N of %s pool to be free",
            static_cast<long long>(request.task), PoolsOf(request.mode).execution.name());
    mutex_.Lock();
    Unlink(waiter);
    if (changes_ != changes) {
      waiter.pass = RunPass(waiter);
      return false;
    }
  }
  if (waiter.deadline_ns == 0) waiter.deadline_ns = DeadlineIn(request.timeout_ns);
  waiter.signalled.store(0, std::memory_order_relaxed);
  Link(waiter);
  waiter.is_waiting = true;
  waiting_threads_.fetch_add(1, std::memory_order_relaxed);
  UnlockAndWake();
  if (AwaitNonZero(waiter.signalled, waiter.deadline_ns) && waiter.pass == Pass::kAnswered &&
      waiter.grant > 0) {
    return true;
  }
  mutex_.Lock();
  if (waiter.is_waiting) {
    waiter.is_waiting = false;
    waiting_threads_.fetch_sub(1, std::memory_order_relaxed);
    Unlink(waiter);
    return fail(ErrorCode::kTimedOut);
  }
  // Eviction is this thread's to do: it looks for itself.
  if (waiter.pass == Pass::kMustEvict) waiter.pass = RunPass(waiter);
  return false;
}

void UnifiedMemoryManager::Link(Waiter& waiter) {
  waiter.next = nullptr;
  waiter.previous = last_waiter_;
  (last_waiter_ != nullptr ? last_waiter_->next : first_waiter_) = &waiter;
  last_waiter_ = &waiter;
}

void UnifiedMemoryManager::Unlink(Waiter& waiter) {
  (waiter.previous != nullptr ? waiter.previous->next : first_waiter_) = waiter.next;
  (waiter.next != nullptr ? waiter.next->previous : last_waiter_) = waiter.previous;
}

// Ends the wait. `waiter` may be gone when this returns.
void UnifiedMemoryManager::Signal(Waiter& waiter, Pass pass) {
  Unlink(waiter);
  waiter.is_waiting = false;
  waiting_threads_.fetch_sub(1, std::memory_order_relaxed);
  waiter.pass = pass;
  SetAndWake(waiter.signalled);
}

// Looks, for everyone who waits, whether there is an answer now, and wakes those for
// whom there is. Spark wakes them all, and each looks for itself.
void UnifiedMemoryManager::RunWaiters() {
  while (notified_) {
    notified_ = false;
    for (Waiter* waiter = first_waiter_; waiter != nullptr;) {
      Waiter* const next = waiter->next;
      if (waiter->is_waiting) {
        const Pass pass = RunPass(*waiter);
        if (pass != Pass::kMustWait) Signal(*waiter, pass);
      }
      waiter = next;
    }
  }
}

void UnifiedMemoryManager::UnlockAndWake() {
  ++changes_;
  if (notified_) RunWaiters();
  mutex_.Unlock();
}

// A task that holds nothing and waits for nothing does not count in N. Spark lets it
// count until it releases something (EXEC-6).
void UnifiedMemoryManager::DropEmptyKey(const ExecutionRequest& request) {
  ExecutionMemoryPool& pool = PoolsOf(request.mode).execution;
  if (IsSpark() || !pool.Has(request.task) || pool.UsageOf(request.task) != 0) return;
  for (const Waiter* waiter = first_waiter_; waiter != nullptr; waiter = waiter->next) {
    if (waiter->request.task == request.task && waiter->request.mode == request.mode) return;
  }
  pool.Release(request.task, 0);
  Notify();
}

void UnifiedMemoryManager::EndTask(int64_t task) {
  mutex_.Lock();
  if (!IsSpark()) {
    for (Waiter* waiter = first_waiter_; waiter != nullptr;) {
      Waiter* const next = waiter->next;
      if (waiter->request.task == task) {
        waiter->has_ended = true;
        if (waiter->is_waiting) Signal(*waiter, RunPass(*waiter));
      }
      waiter = next;
    }
    for (ModePools& pools : modes_) pools.execution.Retire(task);
  }
  Notify();
  UnlockAndWake();
}

void UnifiedMemoryManager::Cancel(Cancellation& cancellation) {
  mutex_.Lock();
  cancellation.cancelled_.store(true, std::memory_order_release);
  for (Waiter* waiter = first_waiter_; waiter != nullptr;) {
    Waiter* const next = waiter->next;
    if (waiter->is_waiting && waiter->request.cancellation == &cancellation) {
      waiter->error = MemoryError(ErrorCode::kInterrupted, waiter->request.bytes);
      Signal(*waiter, Pass::kFailed);
    }
    waiter = next;
  }
  UnlockAndWake();
}

}  // namespace taskmem
