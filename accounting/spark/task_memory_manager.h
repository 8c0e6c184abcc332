// One task's memory: what it acquires from the pools, in which order its consumers are
// asked to spill when there is not enough, and its pages (TMM).
#ifndef TASKMEM_ACCOUNTING_SPARK_TASK_MEMORY_MANAGER_H_
#define TASKMEM_ACCOUNTING_SPARK_TASK_MEMORY_MANAGER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "accounting/base/mutex.h"
#include "accounting/memory/compatibility.h"
#include "accounting/memory/memory_allocator.h"
#include "accounting/memory/memory_block.h"
#include "accounting/memory/memory_error.h"
#include "accounting/memory/memory_mode.h"
#include "accounting/pools/unified_memory_manager.h"
#include "accounting/spark/memory_consumer.h"
#include "accounting/tasks/page_table.h"

namespace taskmem {

class SpillCandidates;
struct SpillAnswer;
struct SpillCandidate;

// Thread-safe. Its lock is held for bookkeeping alone: not while a consumer spills, nor
// while the pools make it wait. It takes the pools' lock only after its own is given up.
//
// Several threads may acquire for the task at once. A consumer spills for one of them at
// a time; the others do not wait for it but ask the next. (In Spark the first holds the
// task's monitor until it is done.)
class TaskMemoryManager {
 public:
  struct WaitOptions {
    int64_t timeout_ns = ExecutionRequest::kForever;  // of each wait for the pools
    const Cancellation* cancellation = nullptr;
  };

  // In kTaskmem, a consumer that frees memory of which nothing reaches who needs it is
  // asked that often in a row, for twice as much each time.
  static constexpr int kMaxFruitlessSpills = 64;
  // And that often in all for one acquisition, however little it frees each time.
  static constexpr int kMaxSpills = 1 << 16;
  // In kTaskmem, a page that has no physical memory is tried again that often, each time
  // after a consumer spilled.
  static constexpr int kMaxPageRetries = 16;

  // All must outlive it. The allocators serve pages of their modes.
  TaskMemoryManager(UnifiedMemoryManager& pools, int64_t task, MemoryAllocator& heap_allocator,
                    MemoryAllocator& unsafe_allocator);
  TaskMemoryManager(UnifiedMemoryManager& pools, int64_t task, MemoryAllocator& heap_allocator,
                    MemoryAllocator& unsafe_allocator, WaitOptions wait);
  TaskMemoryManager(const TaskMemoryManager&) = delete;
  TaskMemoryManager& operator=(const TaskMemoryManager&) = delete;
  // Cleans nothing up: what was not given back before stays charged to the task.
  ~TaskMemoryManager() = default;

  // TMM-2 to TMM-8. The bytes granted, 0 to `bytes` (> 0): when the pools grant less, the
  // task's consumers of that mode spill, the smallest that is large enough first, else
  // the largest, `consumer` itself last. A shortfall is an answer, not an error.
  // kInvalidArgument, kInvalidRequest, kSpillFailed (Spark's SPILL_OUT_OF_MEMORY; detail:
  // "<consumer> : <its message>"), kSpillInterrupted (detail: its message), and what
  // AcquireExecutionMemory of the pools fails with. In kTaskmem nothing has been acquired
  // after an error; in kSpark what had been got stays charged to the task (TMM-7).
  Result<int64_t> AcquireExecutionMemory(int64_t bytes, MemoryConsumer* consumer);

  // TMM-9. Does not change consumer->used(). A negative number of bytes, or a consumer of
  // another manager: nothing happens.
  void ReleaseExecutionMemory(int64_t bytes, MemoryConsumer* consumer);

  // TMM-10 to TMM-12. A page that may be smaller than asked for; none (false) where
  // nothing was granted. kInvalidArgument (the consumer's mode is not the tungsten
  // mode), kTooLargePage, kPageTableFull, kNoPhysicalMemory, and as above.
  Result<MemoryBlock> AllocatePage(int64_t bytes, MemoryConsumer* consumer);

  // TMM-13. Marks `page`. kNotFromThisManager, kDoubleFree, kInvalidArgument (the
  // consumer, as above); nothing has changed then.
  MemoryError FreePage(MemoryBlock& page, MemoryConsumer* consumer);

  // TMM-14. `offset`: in tungsten mode ON_HEAP from the page's base; OFF_HEAP it is an
  // absolute address. kInvalidPage where the block is no page of this task. No lock.
  Result<uint64_t> EncodePageNumberAndOffset(const MemoryBlock& page, uint64_t offset) const;
  // The page's base object (ON_HEAP; kInvalidPage where there is none) or nullptr
  // (OFF_HEAP, whatever the address). No lock.
  Result<char*> GetPage(uint64_t address) const;
  // From the base object (ON_HEAP, whatever the page), or the absolute address (OFF_HEAP;
  // kInvalidPage). No lock.
  Result<uint64_t> GetOffsetInPage(uint64_t address) const;

  // TMM-15, at the task's end. Frees every page and releases everything; returns what
  // was leaked. Consumers must not be used for memory any more, but may be destroyed.
  int64_t CleanUpAllAllocatedMemory();

  // TMM-16: logs who uses what.
  void ShowMemoryUsage();

  // TMM-17: of both modes.
  int64_t GetMemoryConsumptionForThisTask() const;

  int64_t task() const { return task_; }
  Compatibility compatibility() const { return pools_.compatibility(); }
  int64_t page_size_bytes() const { return pools_.page_size_bytes(); }
  // Bytes acquired and not released, as this manager counts; may be negative (TMM-9), and
  // a clean-up does not change it.
  int64_t current_bytes(MemoryMode mode) const;
  int64_t peak_bytes(MemoryMode mode) const;    // TMM-8
  int64_t acquired_but_not_used_bytes() const;  // TMM-11
  bool IsPageNumberTaken(int number) const;
  PageNumbers page_numbers() const;  // those that are taken now
  int LivePages() const;

 private:
  friend class MemoryConsumer;  // SpillAll, Leave

  bool IsSpark() const { return compatibility() == Compatibility::kSpark; }
  MemoryMode tungsten_mode() const { return pools_.tungsten_memory_mode(); }
  bool IsConsumerOfThis(const MemoryConsumer* consumer) const;
  MemoryAllocator& tungsten_allocator() const;

  Result<int64_t> AcquireFromPools(int64_t bytes, MemoryMode mode);
  Result<int64_t> SpillAndAcquire(int64_t bytes, int64_t got, MemoryConsumer& requester);
  void CountAcquired(int64_t bytes, MemoryMode mode);
  void Release(int64_t bytes, MemoryMode mode);

  void FindCandidates(const MemoryConsumer& requester, SpillCandidates& candidates);
  MemoryConsumer* Choose(SpillCandidates& candidates, int64_t bytes, SpillCandidate** chosen);
  bool SpillOne(SpillCandidates& candidates, int64_t bytes, MemoryConsumer& requester,
                SpillAnswer* answer);
  Result<int64_t> RunSpill(RunningSpill& spill, int64_t bytes, MemoryConsumer& trigger);
  bool IsSpillingOnThisThread() const;
  Result<int64_t> SpillAll(MemoryConsumer& consumer);

  Result<int> ReservePageNumber();
  void UnreservePageNumber(int number);
  Result<MemoryBlock> AllocateAfterSpilling(int64_t bytes, MemoryConsumer& requester);
  MemoryBlock PutPage(int number, const MemoryBlock& memory);
  void FreeMemoryOf(const PageTable::Page& page);

  void List(MemoryConsumer& consumer);
  void Unlist(MemoryConsumer& consumer);
  void Leave(MemoryConsumer& consumer, bool is_destroyed);

  UnifiedMemoryManager& pools_;
  const int64_t task_;
  MemoryAllocator& heap_allocator_;
  MemoryAllocator& unsafe_allocator_;
  const WaitOptions wait_;
  const uint64_t number_;  // no two managers of a process have the same

  std::atomic<int64_t> current_bytes_[kMemoryModes] = {};
  std::atomic<int64_t> peak_bytes_[kMemoryModes] = {};
  std::atomic<int64_t> acquired_but_not_used_bytes_{0};

  mutable Mutex mutex_;
  PageTable pages_;
  // Those for whom an acquisition has ended, in the order of the first (TMM-3).
  MemoryConsumer* first_ = nullptr;
  MemoryConsumer* last_ = nullptr;
  size_t listed_ = 0;
  uint64_t last_consumer_number_ = 0;
  RunningSpill* running_spills_ = nullptr;
  int leaving_threads_ = 0;
  std::atomic<uint32_t> spills_ended_{0};  // those that somebody waited for
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_SPARK_TASK_MEMORY_MANAGER_H_
