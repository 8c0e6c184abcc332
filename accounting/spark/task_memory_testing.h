// What tests of task memory share: pools, consumers that spill as they are told, and a
// record of what happened.
#ifndef TASKMEM_ACCOUNTING_SPARK_TASK_MEMORY_TESTING_H_
#define TASKMEM_ACCOUNTING_SPARK_TASK_MEMORY_TESTING_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "accounting/base/memory_log.h"
#include "accounting/memory/memory_allocator.h"
#include "accounting/pools/unified_memory_manager.h"
#include "accounting/spark/memory_consumer.h"
#include "accounting/spark/task_memory_manager.h"

namespace taskmem::testing_support {

using Events = std::vector<std::string>;

// Spills and log lines, in the order in which they happened.
class EventLog final : public MemoryLog {
 public:
  void Write(LogLevel level, const char* text) override {
    static constexpr const char* kLevels[] = {"DEBUG ", "INFO ", "WARN ", "ERROR "};
    Add(std::string(kLevels[static_cast<int>(level)]) + text);
  }

  void Add(std::string event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }

  // Those since the last time.
  Events Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(events_, {});
  }

 private:
  std::mutex mutex_;
  Events events_;
};

// malloc that may be out of memory for a while.
class ScarceMemory {
 public:
  MemoryAllocator::Options Options() {
    MemoryAllocator::Options options;
    options.source = {
        [](size_t bytes, void* self) { return static_cast<ScarceMemory*>(self)->Allocate(bytes); },
        [](void* address, void* self) { static_cast<ScarceMemory*>(self)->Free(address); }, this};
    return options;
  }

  void FailNext(int count) { failures_ = count; }
  int failures_left() const { return failures_; }
  int live() const { return live_; }

 private:
  void* Allocate(size_t bytes) {
    if (failures_ > 0) {
      --failures_;
      return nullptr;
    }
    ++live_;
    return malloc(bytes);
  }
  void Free(void* address) {
    --live_;
    free(address);
  }

  std::atomic<int> failures_{0};
  std::atomic<int> live_{0};
};

// Frees what its behaviour says when it is asked to spill. One thread at a time.
class TestConsumer final : public MemoryConsumer {
 public:
  // What it frees, of `bytes` asked for, and answers.
  using Behaviour = std::function<Result<int64_t>(TestConsumer& self, int64_t bytes)>;

  TestConsumer(TaskMemoryManager& manager, const char* name, Behaviour behaviour, EventLog& events,
               MemoryMode mode = MemoryMode::kOnHeap, int64_t page_size_bytes = 4096)
      : MemoryConsumer(manager, mode, name, page_size_bytes),
        behaviour_(std::move(behaviour)),
        events_(events) {}
  ~TestConsumer() { Leave(); }

  Result<int64_t> Spill(int64_t bytes, MemoryConsumer* trigger) override {
    ++spills_;
    EventLog& events = events_;
    std::string event = std::string(name()) + " " + std::to_string(bytes) + " for " +
                        trigger->name() + ": " + std::to_string(used());
    // The consumer may be gone afterwards.
    const Result<int64_t> freed = behaviour_(*this, bytes);
    event += freed.ok() ? " -> " + std::to_string(*freed) : " -> failed";
    events.Add(event);
    return freed;
  }

  int64_t Acquire(int64_t bytes) {
    const Result<int64_t> granted = AcquireMemory(bytes);
    EXPECT_TRUE(granted.ok()) << static_cast<int>(granted.error().code);
    return *granted;
  }

  MemoryBlock Page(int64_t bytes) {
    const Result<MemoryBlock> page = AllocatePage(bytes);
    EXPECT_TRUE(page.ok()) << static_cast<int>(page.error().code);
    return *page;
  }

  void SetBehaviour(Behaviour behaviour) { behaviour_ = std::move(behaviour); }
  int spills() const { return spills_; }

  std::vector<MemoryBlock> pages;  // of SpillPages, oldest first

 private:
  Behaviour behaviour_;
  EventLog& events_;
  std::atomic<int> spills_{0};
};

inline Result<int64_t> Free(TestConsumer& self, int64_t bytes) {
  if (bytes > 0) self.FreeMemory(bytes);
  return bytes;
}
inline Result<int64_t> SpillExactly(TestConsumer& self, int64_t bytes) {
  return Free(self, std::min(bytes, self.used()));
}
inline Result<int64_t> SpillAllOfIt(TestConsumer& self, int64_t) { return Free(self, self.used()); }
inline Result<int64_t> SpillHalf(TestConsumer& self, int64_t) {
  return Free(self, self.used() / 2);
}
inline Result<int64_t> SpillNothing(TestConsumer&, int64_t) { return int64_t{0}; }
inline Result<int64_t> SpillSilently(TestConsumer& self, int64_t) {
  self.FreeMemory(self.used());
  return int64_t{0};
}
inline Result<int64_t> FailToSpill(TestConsumer&, int64_t) {
  return MemoryError(ErrorCode::kSpillFailed, "spill failed");
}
inline Result<int64_t> BeInterrupted(TestConsumer&, int64_t) {
  return MemoryError(ErrorCode::kSpillInterrupted, "spill interrupted");
}
inline Result<int64_t> SpillPages(TestConsumer& self, int64_t bytes) {
  int64_t freed = 0;
  while (freed < bytes && !self.pages.empty()) {
    MemoryBlock page = self.pages.front();
    self.pages.erase(self.pages.begin());
    freed += page.size;
    EXPECT_FALSE(self.FreePage(page));
  }
  return freed;
}

// Pools of one size in both modes, and one task, 0.
class TaskMemory {
 public:
  struct Options {
    Compatibility compatibility = Compatibility::kTaskmem;
    int64_t max_bytes = 100;
    int64_t region_bytes = 0;
    MemoryMode tungsten_mode = MemoryMode::kOnHeap;
    int64_t page_size_bytes = 4096;
    TaskMemoryManager::WaitOptions wait = {};
  };

  explicit TaskMemory(const Options& options)
      : pools(ManagerOptions(options)),
        heap_allocator(memory.Options()),
        unsafe_allocator(memory.Options()),
        task(pools, 0, heap_allocator, unsafe_allocator, options.wait) {}

  int64_t Used(int64_t of_task = 0) const { return pools.GetExecutionMemoryUsageForTask(of_task); }
  Events TakeEvents() { return events.Take(); }

  EventLog events;
  ScarceMemory memory;
  UnifiedMemoryManager pools;
  HeapMemoryAllocator heap_allocator;
  UnsafeMemoryAllocator unsafe_allocator;
  TaskMemoryManager task;

 private:
  MemoryManagerOptions ManagerOptions(const Options& options) {
    MemoryManagerOptions result;
    result.max_heap_bytes = result.max_off_heap_bytes = options.max_bytes;
    result.on_heap_storage_region_bytes = options.region_bytes;
    result.off_heap_storage_region_bytes = options.region_bytes;
    result.tungsten_mode = options.tungsten_mode;
    result.page_size_bytes = options.page_size_bytes;
    result.compatibility = options.compatibility;
    result.log = &events;
    EXPECT_FALSE(UnifiedMemoryManager::Validate(result));
    return result;
  }
};

inline std::string NameOf(const ::testing::TestParamInfo<Compatibility>& info) {
  return info.param == Compatibility::kSpark ? "Spark" : "Taskmem";
}

}  // namespace taskmem::testing_support

#endif  // TASKMEM_ACCOUNTING_SPARK_TASK_MEMORY_TESTING_H_
