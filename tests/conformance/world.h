// What a trace sets up and its steps work on.
#ifndef TASKMEM_TESTS_CONFORMANCE_WORLD_H_
#define TASKMEM_TESTS_CONFORMANCE_WORLD_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "accounting/memory/memory_allocator.h"
#include "accounting/pools/unified_memory_manager.h"
#include "accounting/spark/task_memory_manager.h"
#include "accounting/spark/unmanaged_memory.h"
#include "tests/conformance/consumers.h"
#include "tests/conformance/evictors.h"
#include "tests/conformance/logical_threads.h"
#include "tests/conformance/trace.h"
#include "tests/conformance/trace_log.h"
#include "tests/conformance/trace_store.h"

namespace taskmem::conformance {

// An allocator that can be told to have no memory.
class FailingAllocator final : public MemoryAllocator {
 public:
  FailingAllocator(MemoryAllocator& allocator, std::atomic<int64_t>& failures)
      : allocator_(allocator), failures_(failures) {}

  Result<MemoryBlock> Allocate(int64_t bytes) override;
  MemoryError Free(MemoryBlock& block) override { return allocator_.Free(block); }

 private:
  MemoryAllocator& allocator_;
  std::atomic<int64_t>& failures_;  // how many allocations are to fail
};

class TraceUnmanaged final : public UnmanagedMemoryConsumer {
 public:
  TraceUnmanaged(const std::string& type, const std::string& key, MemoryMode mode, int64_t value);

  int64_t GetMemBytesUsed() override { return is_failing ? kFailed : value.load(); }
  const char* failure_text() const override { return "java.lang.IllegalStateException: no value"; }

  std::atomic<int64_t> value;
  std::atomic<bool> is_failing = false;

 private:
  TraceUnmanaged(std::unique_ptr<const std::string> type, std::unique_ptr<const std::string> key,
                 MemoryMode mode, int64_t value);

  const std::unique_ptr<const std::string> type_;
  const std::unique_ptr<const std::string> key_;
};

// A task memory manager, whose waits can be interrupted again and again.
struct TraceTask {
  TraceTask(UnifiedMemoryManager& pools, int64_t task, MemoryAllocator& heap,
            MemoryAllocator& unsafe);

  // Made anew, in place, once it has served.
  std::optional<Cancellation> cancellation;
  TaskMemoryManager manager;
  bool has_ended = false;
};

// What is found by its name in a trace throws TraceError where it is not there. Threads
// may look up and add while others do; what they find stays where it is.
class World {
 public:
  explicit World(const Trace& trace);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  void AddTask(int64_t task);
  void AddConsumer(int64_t task, MemoryMode mode, const std::string& name, int64_t page_size_bytes,
                   Behaviour behaviour);
  // The page must not have been added yet.
  TracePage& AddPage(int64_t handle, const MemoryBlock& block, const TaskMemoryManager* manager);
  void AddUnmanaged(const std::string& handle, std::unique_ptr<TraceUnmanaged> unmanaged);

  TraceTask& Task(int64_t task);
  TraceTask& TaskOf(const TraceConsumer& consumer);
  TraceConsumer& Consumer(const std::string& name);
  TracePage& Page(int64_t handle);
  TraceUnmanaged& Unmanaged(const std::string& handle);

  // The handle of a page that has not been freed; none: there is no such page.
  std::optional<int64_t> FindPage(const TaskMemoryManager& manager, int number);
  std::optional<int64_t> FindPage(const char* base);
  // After a clean-up.
  void MarkPagesFreed(const TaskMemoryManager& manager);

  // A task ends, and then gives everything back. With the next step the recordings have
  // forgotten its task memory manager and its consumers.
  void EndTask(int64_t task);
  void GiveUpTask(int64_t task);
  // Between two steps.
  void ForgetGivenUpTasks();

  MemoryAllocator& TungstenAllocator() {
    return pools.tungsten_memory_mode() == MemoryMode::kOnHeap ? heap_ : unsafe_;
  }

  // Ends the wait that uses it.
  void Cancel(Cancellation& cancellation);

  BlockEvictor& Evictor() { return *evictor_; }

  // All keys of "st" that are not absent (section 3 of the format).
  Json State();

  const bool has_off_heap;
  const bool polls_unmanaged;
  const bool is_wild;
  std::atomic<int64_t> failing_allocations{0};

 private:
  TraceLog log_;

 public:
  UnmanagedMemoryRegistry registry;
  UnifiedMemoryManager pools;
  TraceStore blocks;
  LogicalThreads threads;

 private:
  int WaitingThreads() const;

  const std::unique_ptr<TraceEvictor> evictor_;
  HeapMemoryAllocator real_heap_;
  UnsafeMemoryAllocator real_unsafe_;
  FailingAllocator heap_{real_heap_, failing_allocations};
  FailingAllocator unsafe_{real_unsafe_, failing_allocations};

  std::mutex mutex_;
  std::vector<std::unique_ptr<TraceTask>> all_tasks_;
  std::map<int64_t, TraceTask*> tasks_;  // the newest of each id
  std::set<int64_t> given_up_;
  std::vector<std::unique_ptr<TraceConsumer>> all_consumers_;
  std::map<std::string, TraceConsumer*> consumers_;
  std::map<int64_t, TracePage> pages_;
  std::vector<std::unique_ptr<TraceUnmanaged>> all_unmanaged_;
  std::map<std::string, TraceUnmanaged*> unmanaged_;
};

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_WORLD_H_
