#include "accounting/tasks/task_grants.h"

#include <algorithm>

namespace taskmem {
namespace {

constexpr MemoryMode kMode = MemoryMode::kOffHeap;

// For what must be answered at once, amid an allocation.
ExecutionRequest AtOnce(uint32_t slot) {
  return {.task = slot, .may_evict = false, .timeout_ns = 0};
}

}  // namespace

void TaskGrants::RenewUnmanaged() {
  auto unmanaged = static_cast<int64_t>(
      books_[kUntrackedSlot].charged_bytes.load() + books_[kEndedTasksSlot].charged_bytes.load() +
      books_[kSpillReserveSlot].charged_bytes.load() + books_[kSharedSlot].charged_bytes.load());
  const auto storage = static_cast<int64_t>(books_[kStorageSlot].charged_bytes.load());
  if (storage != 0) {
    unmanaged +=
        std::max<int64_t>(0, storage - pools_.StorageMemoryUsed(kMode) - expected_storage_.load());
  }
  unmanaged_.Set(kMode, unmanaged + slack_.load(std::memory_order_relaxed));
}

void TaskGrants::ExpectStorage(int64_t bytes) {
  expected_storage_.fetch_add(bytes);
  RenewUnmanaged();
}

// From the pools, at least `needed` bytes and at most `wanted`, for the task and by the means
// that `request` names. 0: they have not that much.
uint64_t TaskGrants::Acquire(ExecutionRequest request, uint64_t needed, uint64_t wanted) {
  if (wanted > INT64_MAX) return 0;
  RenewUnmanaged();
  request.bytes = static_cast<int64_t>(wanted);
  request.at_least = static_cast<int64_t>(needed);
  request.mode = kMode;
  const Result<int64_t> granted = pools_.AcquireExecutionMemory(request);
  return granted.ok() ? static_cast<uint64_t>(*granted) : 0;
}

ChargeOutcome TaskGrants::AcquireAndCharge(uint32_t slot, uint64_t bytes) {
  TaskBook& book = books_[slot];
  for (;;) {
    const ChargeOutcome outcome = book.TryCharge(bytes);
    if (outcome != ChargeOutcome::kOverGrant) return outcome;
    const uint64_t charged = book.charged_bytes.load();
    const uint64_t granted = book.granted_bytes.load();
    if (bytes > UINT64_MAX - charged) return ChargeOutcome::kOverGrant;
    const uint64_t total = charged + bytes;
    if (total <= granted) continue;
    const uint64_t quota = book.quota_bytes.load(std::memory_order_relaxed);
    const uint64_t until_quota = total < quota ? quota - total : 0;
    const uint64_t needed = total - granted;
    const uint64_t acquired =
        Acquire(AtOnce(slot), needed, needed + std::min(Quantum(granted), until_quota));
    if (acquired == 0) {
      // Refused; unless another thread of the task has acquired or freed meanwhile.
      if (book.granted_bytes.load() == granted && book.charged_bytes.load() == charged) {
        return ChargeOutcome::kOverGrant;
      }
      continue;
    }
    // Charged before it is granted: what is granted and not charged is idle, and may be
    // taken back by another thread at once.
    if (!book.ChargeWithinQuota(bytes)) {
      pools_.ReleaseExecutionMemory(static_cast<int64_t>(acquired), slot, kMode);
      return ChargeOutcome::kOverQuota;
    }
    book.granted_bytes.fetch_add(acquired);
    const uint64_t now = book.charged_bytes.load();
    if (now <= book.granted_bytes.load()) {
      TaskBook::RaisePeak(book.peak_charged_bytes, now);
      return ChargeOutcome::kCharged;
    }
    // Another thread of the task has used what this one counted on.
    book.Credit(bytes);
  }
}

uint64_t TaskGrants::AcquireAhead(uint32_t slot, uint64_t bytes, int64_t timeout_ns) {
  TaskBook& book = books_[slot];
  const uint64_t charged = book.charged_bytes.load();
  const uint64_t granted = book.granted_bytes.load();
  if (bytes > UINT64_MAX - charged || charged + bytes <= granted) return 0;
  const uint64_t needed = charged + bytes - granted;
  const uint64_t acquired = Acquire({.task = slot, .timeout_ns = timeout_ns}, needed, needed);
  book.granted_bytes.fetch_add(acquired);
  return acquired;
}

void TaskGrants::Cover(uint32_t slot, uint64_t bytes) {
  TaskBook& book = books_[slot];
  const uint64_t charged = book.charged_bytes.load();
  const uint64_t granted = book.granted_bytes.load();
  if (charged <= granted) return;
  const uint64_t needed = std::min(bytes, charged - granted);
  const uint64_t acquired = Acquire(AtOnce(slot), needed, needed);
  if (acquired != 0) {
    book.granted_bytes.fetch_add(acquired);
  } else if (pools_.OverdrawExecutionMemory(static_cast<int64_t>(needed), slot, kMode)) {
    book.granted_bytes.fetch_add(needed);
    // Two threads may have covered the same.
    ReleaseIdle(slot);
  }
}

// Takes what is idle, but for `keep_idle` bytes, out of the task's grant.
uint64_t TaskGrants::TakeIdle(TaskBook& book, uint64_t keep_idle) {
  uint64_t granted = book.granted_bytes.load();
  uint64_t taken;
  do {
    const uint64_t charged = book.charged_bytes.load();
    if (granted == kNoPool || granted <= charged || granted - charged <= keep_idle) return 0;
    taken = granted - charged - keep_idle;
  } while (!book.granted_bytes.compare_exchange_weak(granted, granted - taken));
  // A charge that saw the larger grant may have come meanwhile: it keeps what it needs
  // (task_book.h).
  const uint64_t charged = book.charged_bytes.load();
  const uint64_t left = granted - taken;
  if (charged > left) {
    const uint64_t back = std::min(charged - left, taken);
    book.granted_bytes.fetch_add(back);
    taken -= back;
  }
  return taken;
}

void TaskGrants::ReleaseIdle(uint32_t slot) {
  const uint64_t idle = TakeIdle(books_[slot], 0);
  if (idle != 0) pools_.ReleaseExecutionMemory(static_cast<int64_t>(idle), slot, kMode);
}

void TaskGrants::ReturnIdle(uint32_t slot) {
  TaskBook& book = books_[slot];
  const bool is_live = book.state.load(std::memory_order_relaxed) == TaskState::kLive;
  const uint64_t charged = book.charged_bytes.load(std::memory_order_relaxed);
  // Nobody should wait for what is idle.
  bool keeps = is_live && pools_.WaitingThreads() == 0;
  pools_.TryVisitPools(kMode, [&keeps](const UnifiedMemoryManager::Pools& pools) {
    if (pools.overdrawn != 0) keeps = false;
  });
  const uint64_t idle = TakeIdle(book, keeps ? Quantum(charged) : 0);
  if (idle != 0 && !pools_.TryReleaseExecutionMemory(static_cast<int64_t>(idle), slot, kMode)) {
    book.granted_bytes.fetch_add(idle);
  }
}

void TaskGrants::EndTask(uint32_t slot) {
  ReleaseIdle(slot);
  if (books_[slot].granted_bytes.load() != 0) pools_.EndTask(slot);
}

void TaskGrants::Forget(uint32_t slot) {
  const uint64_t granted = books_[slot].granted_bytes.exchange(0);
  if (granted == 0 || granted == kNoPool) return;
  pools_.ReleaseExecutionMemory(static_cast<int64_t>(granted), slot, kMode);
}

void TaskGrants::Rebuild() {
  const uint32_t slots = slots_.load(std::memory_order_acquire);
  for (uint32_t slot = kFirstTaskSlot; slot < slots; ++slot) {
    books_[slot].granted_bytes.store(0);
    Cover(slot, UINT64_MAX);
    if (books_[slot].state.load() == TaskState::kEnded) EndTask(slot);
  }
}

void TaskGrants::ReturnIdleGrants(MemoryMode mode, const int64_t* requester) {
  if (mode != kMode) return;
  const uint32_t slots = slots_.load(std::memory_order_acquire);
  for (uint32_t slot = kFirstTaskSlot; slot < slots; ++slot) {
    if (requester == nullptr || *requester != slot) ReleaseIdle(slot);
  }
}

}  // namespace taskmem
