// Something that holds a task's execution memory and can give it back: Spark's
// MemoryConsumer (CONS).
#ifndef TASKMEM_ACCOUNTING_SPARK_MEMORY_CONSUMER_H_
#define TASKMEM_ACCOUNTING_SPARK_MEMORY_CONSUMER_H_

#include <atomic>
#include <cstdint>

#include "accounting/memory/memory_block.h"
#include "accounting/memory/memory_error.h"
#include "accounting/memory/memory_mode.h"

namespace taskmem {

class TaskMemoryManager;
struct RunningSpill;

// Any thread may call; what a derived class holds is its own to guard. A lock that Spill
// takes must not be held around AcquireMemory, AllocatePage, AllocateArray, SpillAll or
// Leave.
class MemoryConsumer {
 public:
  // `name` is shown and logged; both it and `manager` must outlive the consumer.
  // `page_size_bytes` 0: the manager's (CONS-1).
  MemoryConsumer(TaskMemoryManager& manager, MemoryMode mode, const char* name,
                 int64_t page_size_bytes = 0);
  MemoryConsumer(const MemoryConsumer&) = delete;
  MemoryConsumer& operator=(const MemoryConsumer&) = delete;

  // Gives back memory, by FreeMemory or FreePage, and returns how many bytes: at least
  // `bytes` where it can, more where that is easier, 0 where it cannot (CONS-2).
  // `trigger` is who needs them, and may be this one. The manager calls it with no lock
  // held, and never from two threads at once. Must not acquire memory, nor throw. Errors:
  // kSpillFailed or kSpillInterrupted with a detail (TMM-7).
  virtual Result<int64_t> Spill(int64_t /*bytes*/, MemoryConsumer* /*trigger*/) {
    return int64_t{0};
  }
  // Spill(INT64_MAX, this), but 0 at once where it is spilling already.
  Result<int64_t> SpillAll();

  // CONS-3. The bytes granted, fewer than asked for where no more could be had.
  Result<int64_t> AcquireMemory(int64_t bytes);
  // A negative number of bytes frees nothing.
  void FreeMemory(int64_t bytes);

  // CONS-5: a page of at least `required_bytes`, and of the page size. CONS-6 where
  // there is none: kUnableToAcquireMemory. Else as TaskMemoryManager::AllocatePage.
  Result<MemoryBlock> AllocatePage(int64_t required_bytes);
  // As TaskMemoryManager::FreePage. In kSpark a page that is refused counts as freed in
  // used() (CONS-5).
  MemoryError FreePage(MemoryBlock& page);

  // CONS-4: a page for `words` words of 8 bytes. FreePage frees it.
  Result<MemoryBlock> AllocateArray(int64_t words);
  MemoryError FreeArray(MemoryBlock& array) { return FreePage(array); }

  // Bytes acquired and not freed; negative where more was freed.
  int64_t used() const { return used_.load(std::memory_order_relaxed); }
  MemoryMode mode() const { return mode_; }
  const char* name() const { return name_; }
  TaskMemoryManager& manager() const { return manager_; }

 protected:
  // A derived class calls Leave() in its own destructor, while it can still be asked to
  // spill.
  ~MemoryConsumer();
  // Leaves the manager: it is not asked to spill any more. Returns when no other thread is
  // inside Spill; at once, where this thread is. Does not free what it holds.
  void Leave();

 private:
  friend class TaskMemoryManager;

  Result<MemoryBlock> Charge(const Result<MemoryBlock>& page, int64_t required_bytes);

  TaskMemoryManager& manager_;
  const MemoryMode mode_;
  const char* const name_;
  const int64_t page_size_bytes_;
  std::atomic<int64_t> used_{0};
  // All it has ever given back: whether a spill freed something can be seen from this.
  std::atomic<uint64_t> released_{0};

  // The task memory manager's, under its lock.
  MemoryConsumer* next_ = nullptr;  // in the order in which they were first added
  MemoryConsumer* previous_ = nullptr;
  uint64_t number_ = 0;  // ascending in that order; 0: not listed
  RunningSpill* running_spill_ = nullptr;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_SPARK_MEMORY_CONSUMER_H_
