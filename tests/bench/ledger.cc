#include "tests/bench/ledger.h"

#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "accounting/pools/unified_memory_manager.h"
#include "accounting/tasks/task_book.h"
#include "accounting/tasks/task_grants.h"
#include "tests/bench/workload.h"

namespace taskmem::bench {
namespace {

constexpr uint64_t kStepBytes = 4096;
constexpr MemoryMode kMode = MemoryMode::kOffHeap;

double Now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

MemoryManagerOptions ManagerOptions(const UnmanagedTotals* unmanaged) {
  MemoryManagerOptions options;
  options.max_off_heap_bytes = int64_t{1} << 40;
  options.off_heap_storage_region_bytes = int64_t{1} << 39;
  options.tungsten_mode = kMode;
  options.sharing = Sharing::kNone;
  options.unmanaged = unmanaged;
  return options;
}

ExecutionRequest Request(uint32_t slot, uint64_t bytes) {
  ExecutionRequest request;
  request.bytes = request.at_least = static_cast<int64_t>(bytes);
  request.task = slot;
  request.mode = kMode;
  request.timeout_ns = 0;
  return request;
}

// The books of a process with `tasks` tasks.
class Ledger {
 public:
  Ledger(ChargePath path, uint32_t tasks)
      : slots_(kFirstTaskSlot + tasks),
        books_(new TaskBook[kFirstTaskSlot + tasks]()),
        pools_(ManagerOptions(&unmanaged_)),
        grants_(pools_, books_.get(), slots_, unmanaged_) {
    pools_.SetIdleGrantHolder(&grants_);
    for (uint32_t slot = 0; slot < slots_; ++slot) {
      const bool draws = path == ChargePath::kGrants && slot >= kFirstTaskSlot;
      books_[slot].quota_bytes = uint64_t{1} << 50;
      books_[slot].granted_bytes = draws ? 0 : kNoPool;
      books_[slot].state = TaskState::kLive;
    }
  }

  // As Charge and Credit of shim/contexts/charge.h. They return how often the pools were called.
  template <ChargePath kPath>
  uint64_t Charge(uint32_t slot) {
    if constexpr (kPath == ChargePath::kEveryCharge) {
      const Result<int64_t> granted = pools_.AcquireExecutionMemory(Request(slot, kStepBytes));
      if (!granted.ok() || *granted == 0) std::abort();
    }
    const ChargeOutcome outcome = books_[slot].TryCharge(kStepBytes);
    if (outcome == ChargeOutcome::kCharged) return kPath == ChargePath::kEveryCharge;
    if (grants_.AcquireAndCharge(slot, kStepBytes) != ChargeOutcome::kCharged) std::abort();
    ShowPools();
    return 1;
  }

  template <ChargePath kPath>
  uint64_t Credit(uint32_t slot) {
    const uint64_t charged = books_[slot].Credit(kStepBytes);
    if constexpr (kPath == ChargePath::kEveryCharge) {
      pools_.ReleaseExecutionMemory(kStepBytes, slot, kMode);
      return 1;
    }
    if (!TaskGrants::HasMuchIdle(books_[slot], charged, TaskGrants::kMaxIdleBytes,
                                 shown_overdrawn_)) {
      return 0;
    }
    grants_.ReturnIdle(slot);
    ShowPools();
    return 1;
  }

 private:
  // The library writes the pools into the stats file whenever it has called them.
  void ShowPools() {
    pools_.TryVisitPools(kMode, [this](const UnifiedMemoryManager::Pools& pools) {
      shown_used_.store(static_cast<uint64_t>(pools.execution_used), std::memory_order_relaxed);
      shown_overdrawn_.store(static_cast<uint64_t>(pools.overdrawn), std::memory_order_relaxed);
    });
  }

  const std::atomic<uint32_t> slots_;
  const std::unique_ptr<TaskBook[]> books_;
  UnmanagedTotals unmanaged_;
  UnifiedMemoryManager pools_;
  TaskGrants grants_;
  alignas(128) std::atomic<uint64_t> shown_used_ = 0;
  std::atomic<uint64_t> shown_overdrawn_ = 0;
};

// Goes from level to level, now and then some steps back. Returns the calls of the pools.
template <ChargePath kPath>
uint64_t Walk(Ledger& ledger, uint32_t slot, uint64_t seed, uint64_t most_bytes, uint64_t charges) {
  Random random(seed);
  const uint64_t most = most_bytes / kStepBytes;
  uint64_t held = 0;
  uint64_t calls = 0;
  uint64_t target = random.Below(most + 1);
  while (charges > 0) {
    if (held == target) target = random.Below(most + 1);
    const bool goes_on = random.Below(4) != 0;
    const bool grows = (target > held) == goes_on;
    const uint64_t room = grows ? std::min(most - held, charges) : held;
    uint64_t steps = std::min(1 + random.Below(16), room);
    if (goes_on) steps = std::min(steps, grows ? target - held : held - target);
    for (uint64_t i = 0; i < steps; ++i) {
      calls += grows ? ledger.Charge<kPath>(slot) : ledger.Credit<kPath>(slot);
    }
    if (grows) charges -= steps;
    held = grows ? held + steps : held - steps;
  }
  for (; held > 0; --held) calls += ledger.Credit<kPath>(slot);
  return calls;
}

uint64_t WalkOn(ChargePath path, Ledger& ledger, uint32_t slot, uint64_t seed, uint64_t most_bytes,
                uint64_t charges) {
  switch (path) {
    case ChargePath::kBook: return Walk<ChargePath::kBook>(ledger, slot, seed, most_bytes, charges);
    case ChargePath::kGrants:
      return Walk<ChargePath::kGrants>(ledger, slot, seed, most_bytes, charges);
    case ChargePath::kEveryCharge:
      return Walk<ChargePath::kEveryCharge>(ledger, slot, seed, most_bytes, charges);
  }
  std::abort();
}

}  // namespace

ChargeCost MeasureCharges(ChargePath path, const ChargeLoad& load) {
  const auto threads = static_cast<uint32_t>(load.threads);
  Ledger ledger(path, load.shares_task ? 1 : threads);
  const uint64_t each = load.charges / threads;
  std::vector<double> cpu(threads);
  std::vector<double> begin(threads);
  std::vector<double> end(threads);
  std::atomic<uint64_t> calls = 0;
  pthread_barrier_t barrier;
  pthread_barrier_init(&barrier, nullptr, threads);
  std::vector<std::thread> running;
  for (uint32_t i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      pthread_barrier_wait(&barrier);
      begin[i] = Now(CLOCK_MONOTONIC);
      const double start = Now(CLOCK_THREAD_CPUTIME_ID);
      calls += WalkOn(path, ledger, kFirstTaskSlot + (load.shares_task ? 0 : i), i + 1,
                      load.most_bytes, each);
      cpu[i] = Now(CLOCK_THREAD_CPUTIME_ID) - start;
      end[i] = Now(CLOCK_MONOTONIC);
    });
  }
  double cpu_sum = 0;
  for (uint32_t i = 0; i < threads; ++i) {
    running[i].join();
    cpu_sum += cpu[i];
  }
  pthread_barrier_destroy(&barrier);
  const auto charges = static_cast<double>(each * threads);
  const double wall =
      *std::max_element(end.begin(), end.end()) - *std::min_element(begin.begin(), begin.end());
  return {cpu_sum / charges, charges / wall * 1e9, cpu_sum / wall,
          static_cast<double>(calls) / charges * 1e6};
}

double MeasureAcquireRelease(bool holds_more, uint64_t rounds) {
  UnifiedMemoryManager pools(ManagerOptions(nullptr));
  const ExecutionRequest request = Request(kFirstTaskSlot, kStepBytes);
  if (holds_more && !pools.AcquireExecutionMemory(request).ok()) std::abort();
  const double start = Now(CLOCK_THREAD_CPUTIME_ID);
  for (uint64_t i = 0; i < rounds; ++i) {
    if (!pools.AcquireExecutionMemory(request).ok()) std::abort();
    pools.ReleaseExecutionMemory(request.bytes, request.task, kMode);
  }
  return (Now(CLOCK_THREAD_CPUTIME_ID) - start) / static_cast<double>(rounds);
}

}  // namespace taskmem::bench
