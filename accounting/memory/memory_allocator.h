// Where the memory of pages comes from (ALLOC).
#ifndef TASKMEM_ACCOUNTING_MEMORY_MEMORY_ALLOCATOR_H_
#define TASKMEM_ACCOUNTING_MEMORY_MEMORY_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>

#include "accounting/base/mutex.h"
#include "accounting/memory/memory_block.h"
#include "accounting/memory/memory_error.h"

namespace taskmem {

// What an allocator takes memory from; malloc and free where nobody says otherwise.
// Called with no lock held, from several threads.
struct MemorySource {
  void* (*allocate)(size_t bytes, void* context);  // nullptr: there is none
  void (*free)(void* address, void* context);
  void* context;
};
MemorySource SystemMemory();

// Thread-safe.
class MemoryAllocator {
 public:
  // Every block is filled with this byte when it is allocated, and when it is freed,
  // if debug_fill is set (ALLOC-3).
  static constexpr uint8_t kDebugFillClean = 0xa5;
  static constexpr uint8_t kDebugFillFreed = 0x5a;

  struct Options {
    bool debug_fill = false;
    MemorySource source = SystemMemory();
  };

  // A block of `bytes` (>= 0) that is no task's page; of 0 bytes, too, the base is not
  // null. kInvalidArgument, kNoPhysicalMemory.
  virtual Result<MemoryBlock> Allocate(int64_t /*bytes*/) {
    return MemoryError(ErrorCode::kInvalidArgument);
  }

  // Marks `block` kFreedInAllocator and clears its base. A block the task memory manager has
  // not freed first is refused (kTaskPage), as is one that was freed: kDoubleFree
  // off-heap, kWrongAllocator on-heap (ALLOC-4), and one of the other mode: kWrongAllocator.
  // kInvalidArgument: no block.
  virtual MemoryError Free(MemoryBlock& /*block*/) {
    return MemoryError(ErrorCode::kInvalidArgument);
  }

 protected:
  ~MemoryAllocator() = default;
};

// ON_HEAP: rounded up to 8 bytes; sizes of 1 MiB and more are kept for reuse by exact
// size, not cleared (ALLOC-2). What is kept is no task's: it is bounded, and given up
// before an allocation fails.
class HeapMemoryAllocator final : public MemoryAllocator {
 public:
  static constexpr int64_t kPooledFromBytes = int64_t{1} << 20;
  // Spark holds its pool by weak references; here the newest buffers stay.
  static constexpr int kMaxPooledBuffers = 16;
  static constexpr int64_t kMaxPooledBytes = int64_t{64} << 20;

  explicit HeapMemoryAllocator(const Options& options = {}) : options_(options) {}
  ~HeapMemoryAllocator();
  HeapMemoryAllocator(const HeapMemoryAllocator&) = delete;
  HeapMemoryAllocator& operator=(const HeapMemoryAllocator&) = delete;
  Result<MemoryBlock> Allocate(int64_t bytes) override;
  MemoryError Free(MemoryBlock& block) override;

  // Gives back what is kept for reuse. False: nothing was.
  bool EmptyPool();

 private:
  struct Buffer {
    char* base = nullptr;
    int64_t bytes = 0;  // rounded
  };

  char* TakePooled(int64_t bytes);
  bool TakeOldest(int64_t make_room_for_bytes, Buffer* oldest);
  void Release(char* base, int64_t bytes);
  void RemoveAt(int index);

  const Options options_;
  Mutex mutex_;
  Buffer pool_[kMaxPooledBuffers];  // oldest first
  int pooled_ = 0;
  int64_t pooled_bytes_ = 0;
};

// OFF_HEAP: exact sizes, no pool (ALLOC-3).
class UnsafeMemoryAllocator final : public MemoryAllocator {
 public:
  explicit UnsafeMemoryAllocator(const Options& options = {}) : options_(options) {}
  Result<MemoryBlock> Allocate(int64_t bytes) override;
  MemoryError Free(MemoryBlock& block) override;

 private:
  const Options options_;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_MEMORY_MEMORY_ALLOCATOR_H_
