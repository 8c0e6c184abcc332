#include "accounting/memory/memory_allocator.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "accounting/base/round_up.h"

namespace taskmem {
namespace {

// Spark's heap hands out whole words. Only where it does not overflow.
constexpr int64_t RoundUpToWords(int64_t bytes) {
  return static_cast<int64_t>(RoundUp(static_cast<uint64_t>(bytes), 8));
}

// A source may answer nullptr when asked for nothing.
char* AllocateFrom(const MemorySource& source, int64_t bytes) {
  return static_cast<char*>(
      source.allocate(static_cast<size_t>(std::max<int64_t>(bytes, 1)), source.context));
}

MemoryBlock NewBlock(char* base, int64_t bytes, MemoryMode mode, bool debug_fill) {
  if (debug_fill) {
    memset(base, MemoryAllocator::kDebugFillClean, static_cast<size_t>(bytes));
  }
  MemoryBlock block;
  block.base = base;
  block.size = bytes;
  block.mode = mode;
  return block;
}

// Marks the block; returns its memory.
char* Retire(MemoryBlock& block, bool debug_fill) {
  char* const base = block.base;
  if (debug_fill) {
    memset(base, MemoryAllocator::kDebugFillFreed, static_cast<size_t>(block.size));
  }
  block.page_number = MemoryBlock::kFreedInAllocator;
  block.base = nullptr;
  return base;
}

bool IsTaskPage(const MemoryBlock& block) {
  return block.page_number != MemoryBlock::kNoPageNumber &&
         block.page_number != MemoryBlock::kFreedInManager;
}

}  // namespace

MemorySource SystemMemory() {
  return {[](size_t bytes, void*) { return malloc(bytes); },
          [](void* address, void*) { free(address); }, nullptr};
}

HeapMemoryAllocator::~HeapMemoryAllocator() { EmptyPool(); }

Result<MemoryBlock> HeapMemoryAllocator::Allocate(int64_t bytes) {
  if (bytes < 0) return MemoryError(ErrorCode::kInvalidArgument, bytes);
  if (bytes > INT64_MAX - 7) return MemoryError(ErrorCode::kNoPhysicalMemory, bytes);
  const int64_t rounded = RoundUpToWords(bytes);
  char* base = TakePooled(rounded);
  if (base == nullptr) base = AllocateFrom(options_.source, rounded);
  if (base == nullptr && EmptyPool()) base = AllocateFrom(options_.source, rounded);
  if (base == nullptr) return MemoryError(ErrorCode::kNoPhysicalMemory, bytes);
  return NewBlock(base, bytes, MemoryMode::kOnHeap, options_.debug_fill);
}

MemoryError HeapMemoryAllocator::Free(MemoryBlock& block) {
  if (block.base == nullptr || block.mode != MemoryMode::kOnHeap) {
    return MemoryError(ErrorCode::kWrongAllocator);
  }
  if (IsTaskPage(block)) return MemoryError(ErrorCode::kTaskPage);
  Release(Retire(block, options_.debug_fill), RoundUpToWords(block.size));
  return {};
}

void HeapMemoryAllocator::Release(char* base, int64_t bytes) {
  if (bytes >= kPooledFromBytes && bytes <= kMaxPooledBytes) {
    Buffer oldest;
    while (TakeOldest(bytes, &oldest)) options_.source.free(oldest.base, options_.source.context);
    const MutexLock lock(mutex_);
    // Other threads may have filled it again.
    if (pooled_ < kMaxPooledBuffers && pooled_bytes_ <= kMaxPooledBytes - bytes) {
      pool_[pooled_++] = {base, bytes};
      pooled_bytes_ += bytes;
      return;
    }
  }
  options_.source.free(base, options_.source.context);
}

char* HeapMemoryAllocator::TakePooled(int64_t bytes) {
  if (bytes < kPooledFromBytes) return nullptr;
  const MutexLock lock(mutex_);
  for (int i = 0; i < pooled_; ++i) {
    if (pool_[i].bytes != bytes) continue;
    char* const base = pool_[i].base;
    RemoveAt(i);
    return base;
  }
  return nullptr;
}

// False: there is room for a buffer of that size.
bool HeapMemoryAllocator::TakeOldest(int64_t make_room_for_bytes, Buffer* oldest) {
  const MutexLock lock(mutex_);
  if (pooled_ == 0) return false;
  if (pooled_ < kMaxPooledBuffers && pooled_bytes_ <= kMaxPooledBytes - make_room_for_bytes) {
    return false;
  }
  *oldest = pool_[0];
  RemoveAt(0);
  return true;
}

void HeapMemoryAllocator::RemoveAt(int index) {
  pooled_bytes_ -= pool_[index].bytes;
  std::copy(pool_ + index + 1, pool_ + pooled_, pool_ + index);
  --pooled_;
}

bool HeapMemoryAllocator::EmptyPool() {
  bool any = false;
  Buffer oldest;
  // Nothing fits beside what is kept: all of it goes.
  while (TakeOldest(kMaxPooledBytes, &oldest)) {
    options_.source.free(oldest.base, options_.source.context);
    any = true;
  }
  return any;
}

Result<MemoryBlock> UnsafeMemoryAllocator::Allocate(int64_t bytes) {
  if (bytes < 0) return MemoryError(ErrorCode::kInvalidArgument, bytes);
  char* const base = AllocateFrom(options_.source, bytes);
  if (base == nullptr) return MemoryError(ErrorCode::kNoPhysicalMemory, bytes);
  return NewBlock(base, bytes, MemoryMode::kOffHeap, options_.debug_fill);
}

MemoryError UnsafeMemoryAllocator::Free(MemoryBlock& block) {
  if (block.mode != MemoryMode::kOffHeap) return MemoryError(ErrorCode::kWrongAllocator);
  if (block.page_number == MemoryBlock::kFreedInAllocator) {
    return MemoryError(ErrorCode::kDoubleFree);
  }
  if (IsTaskPage(block)) return MemoryError(ErrorCode::kTaskPage);
  if (block.base == nullptr) return MemoryError(ErrorCode::kInvalidArgument);
  options_.source.free(Retire(block, options_.debug_fill), options_.source.context);
  return {};
}

}  // namespace taskmem
