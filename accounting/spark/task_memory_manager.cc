#include "accounting/spark/task_memory_manager.h"

#include <cstdio>

#include "accounting/base/memory_log.h"
#include "accounting/base/size_text.h"
#include "accounting/tasks/spill_candidates.h"

namespace taskmem {

namespace {

std::atomic<uint64_t> last_manager_number{0};

void RaisePeak(std::atomic<int64_t>& peak, int64_t value) {
  int64_t seen = peak.load(std::memory_order_relaxed);
  while (seen < value && !peak.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

}  // namespace

TaskMemoryManager::TaskMemoryManager(UnifiedMemoryManager& pools, int64_t task,
                                     MemoryAllocator& heap_allocator,
                                     MemoryAllocator& unsafe_allocator)
    : TaskMemoryManager(pools, task, heap_allocator, unsafe_allocator, WaitOptions{}) {}

TaskMemoryManager::TaskMemoryManager(UnifiedMemoryManager& pools, int64_t task,
                                     MemoryAllocator& heap_allocator,
                                     MemoryAllocator& unsafe_allocator, WaitOptions wait)
    : pools_(pools),
      task_(task),
      heap_allocator_(heap_allocator),
      unsafe_allocator_(unsafe_allocator),
      wait_(wait),
      number_(last_manager_number.fetch_add(1, std::memory_order_relaxed) + 1) {}

bool TaskMemoryManager::IsConsumerOfThis(const MemoryConsumer* consumer) const {
  return consumer != nullptr && &consumer->manager() == this;
}

// Acquiring.

Result<int64_t> TaskMemoryManager::AcquireFromPools(int64_t bytes, MemoryMode mode) {
  ExecutionRequest request;
  request.bytes = bytes;
  request.task = task_;
  request.mode = mode;
  request.timeout_ns = wait_.timeout_ns;
  request.cancellation = wait_.cancellation;
  return pools_.AcquireExecutionMemory(request);
}

Result<int64_t> TaskMemoryManager::AcquireExecutionMemory(int64_t bytes, MemoryConsumer* consumer) {
  if (bytes < 0 || !IsConsumerOfThis(consumer)) {
    return MemoryError(ErrorCode::kInvalidArgument, bytes);
  }
  Result<int64_t> got = AcquireFromPools(bytes, consumer->mode());
  if (got.ok() && *got < bytes) got = SpillAndAcquire(bytes, *got, *consumer);
  if (!got.ok()) return got;
  mutex_.Lock();
  List(*consumer);
  mutex_.Unlock();
  CountAcquired(*got, consumer->mode());
  return got;
}

// TMM-3 to TMM-7: `got` of `bytes` have been acquired; spills and acquires the rest.
Result<int64_t> TaskMemoryManager::SpillAndAcquire(int64_t bytes, int64_t got,
                                                   MemoryConsumer& requester) {
  SpillCandidates candidates;
  FindCandidates(requester, candidates);
  MemoryError error;
  // Calls in a row that freed memory of which nothing came here: other tasks took it, or
  // this task is above its cap (SPARK-35486).
  int fruitless = 0;
  while (got < bytes && !error) {
    const int64_t needed = bytes - got;
    SpillAnswer answer;
    if (!SpillOne(candidates, Doubled(needed, fruitless), requester, &answer)) break;
    error = answer.error;
    if (answer.freed == 0) continue;
    const Result<int64_t> more = AcquireFromPools(needed, requester.mode());
    error = more.error();
    got += *more;
    if (IsSpark()) continue;
    SpillCandidate& asked = *answer.candidate;
    fruitless = *more > 0 ? 0 : fruitless + 1;
    asked.fruitless_spills = *more > 0 ? 0 : asked.fruitless_spills + 1;
    asked.is_dropped =
        asked.fruitless_spills == kMaxFruitlessSpills || ++asked.spills == kMaxSpills;
  }
  if (!error) return got;
  if (!IsSpark() && got > 0) pools_.ReleaseExecutionMemory(got, task_, requester.mode());
  return error;
}

void TaskMemoryManager::CountAcquired(int64_t bytes, MemoryMode mode) {
  // It wraps around where releases have brought it to the other end.
  const auto before = static_cast<uint64_t>(
      current_bytes_[IndexOf(mode)].fetch_add(bytes, std::memory_order_relaxed));
  RaisePeak(peak_bytes_[IndexOf(mode)],
            static_cast<int64_t>(before + static_cast<uint64_t>(bytes)));
}

void TaskMemoryManager::ReleaseExecutionMemory(int64_t bytes, MemoryConsumer* consumer) {
  if (bytes < 0 || !IsConsumerOfThis(consumer)) return;
  const int64_t released = pools_.ReleaseExecutionMemory(bytes, task_, consumer->mode());
  consumer->released_.fetch_add(static_cast<uint64_t>(released), std::memory_order_relaxed);
  current_bytes_[IndexOf(consumer->mode())].fetch_sub(bytes, std::memory_order_relaxed);
}

// Gives back what was acquired in vain: nobody has freed anything.
void TaskMemoryManager::Release(int64_t bytes, MemoryMode mode) {
  pools_.ReleaseExecutionMemory(bytes, task_, mode);
  current_bytes_[IndexOf(mode)].fetch_sub(bytes, std::memory_order_relaxed);
}

// Consumers. These need the lock.

void TaskMemoryManager::List(MemoryConsumer& consumer) {
  if (consumer.number_ != 0) return;
  consumer.number_ = ++last_consumer_number_;
  consumer.next_ = nullptr;
  consumer.previous_ = last_;
  (last_ != nullptr ? last_->next_ : first_) = &consumer;
  last_ = &consumer;
  ++listed_;
}

void TaskMemoryManager::Unlist(MemoryConsumer& consumer) {
  if (consumer.number_ == 0) return;
  consumer.number_ = 0;
  (consumer.previous_ != nullptr ? consumer.previous_->next_ : first_) = consumer.next_;
  (consumer.next_ != nullptr ? consumer.next_->previous_ : last_) = consumer.previous_;
  --listed_;
}

// The task's end, and its report.

int64_t TaskMemoryManager::CleanUpAllAllocatedMemory() {
  for (;;) {
    mutex_.Lock();
    MemoryConsumer* const consumer = first_;
    if (consumer == nullptr) {
      mutex_.Unlock();
      break;
    }
    const int64_t used = consumer->used();
    char name[256];
    snprintf(name, sizeof(name), "%s", consumer->name_);
    Unlist(*consumer);
    mutex_.Unlock();
    if (used > 0) {
      LogLine(pools_.log(), LogLevel::kDebug, "unreleased %s memory from %s",
              SizeText(used).c_str(), name);
    }
  }
  for (int number = 0; number < kPageTableSize && LivePages() > 0; ++number) {
    mutex_.Lock();
    // In Spark the number of such a page stays taken.
    const PageTable::Page page = pages_.Take(number, pages_.Get(number).serial, IsSpark());
    mutex_.Unlock();
    if (page.base != nullptr) FreeMemoryOf(page);
  }
  // In Spark this is released at every clean-up anew.
  const int64_t not_used =
      IsSpark() ? acquired_but_not_used_bytes() : acquired_but_not_used_bytes_.exchange(0);
  pools_.ReleaseExecutionMemory(not_used, task_, tungsten_mode());
  return pools_.ReleaseAllExecutionMemoryForTask(task_);
}

void TaskMemoryManager::ShowMemoryUsage() {
  MemoryLog* const log = pools_.log();
  if (log == nullptr || !log->Wants(LogLevel::kInfo)) return;
  const auto task = static_cast<long long>(task_);
  LogLine(log, LogLevel::kInfo, "Memory used in task %lld", task);
  uint64_t of_consumers = 0;  // as a sum of what may be negative
  uint64_t last_shown = 0;
  for (;;) {
    char name[256];
    mutex_.Lock();
    MemoryConsumer* consumer = first_;
    while (consumer != nullptr && consumer->number_ <= last_shown) consumer = consumer->next_;
    if (consumer == nullptr) {
      mutex_.Unlock();
      break;
    }
    last_shown = consumer->number_;
    const int64_t used = consumer->used();
    snprintf(name, sizeof(name), "%s", consumer->name_);
    mutex_.Unlock();
    of_consumers += static_cast<uint64_t>(used);
    if (used > 0) {
      LogLine(log, LogLevel::kInfo, "Acquired by %s: %s", name, SizeText(used).c_str());
    }
  }
  const auto of_nobody = static_cast<long long>(
      static_cast<uint64_t>(GetMemoryConsumptionForThisTask()) - of_consumers);
  LogLine(log, LogLevel::kInfo,
          "%lld bytes of memory were used by task %lld but are not associated with specific "
          "consumers",
          of_nobody, task);
  const int64_t unmanaged = pools_.UnmanagedMemoryUsed(MemoryMode::kOnHeap) +
                            pools_.UnmanagedMemoryUsed(MemoryMode::kOffHeap);
  LogLine(log, LogLevel::kInfo,
          "%lld bytes of memory are used for execution and %lld bytes of memory are used for "
          "storage and %lld bytes of unmanaged memory are used",
          static_cast<long long>(pools_.ExecutionMemoryUsed()),
          static_cast<long long>(pools_.StorageMemoryUsed()), static_cast<long long>(unmanaged));
}

int64_t TaskMemoryManager::GetMemoryConsumptionForThisTask() const {
  return pools_.GetExecutionMemoryUsageForTask(task_);
}

int64_t TaskMemoryManager::current_bytes(MemoryMode mode) const {
  return current_bytes_[IndexOf(mode)].load(std::memory_order_relaxed);
}

int64_t TaskMemoryManager::peak_bytes(MemoryMode mode) const {
  return peak_bytes_[IndexOf(mode)].load(std::memory_order_relaxed);
}

int64_t TaskMemoryManager::acquired_but_not_used_bytes() const {
  return acquired_but_not_used_bytes_.load(std::memory_order_relaxed);
}

}  // namespace taskmem
