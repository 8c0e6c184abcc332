// What a consumer asks of its task's manager: above both, which know each other by their headers.
#include <algorithm>

#include "accounting/spark/memory_consumer.h"
#include "accounting/spark/task_memory_manager.h"

namespace taskmem {

MemoryConsumer::MemoryConsumer(TaskMemoryManager& manager, MemoryMode mode, const char* name,
                               int64_t page_size_bytes)
    : manager_(manager),
      mode_(mode),
      name_(name),
      page_size_bytes_(page_size_bytes != 0 ? page_size_bytes : manager.page_size_bytes()) {}

MemoryConsumer::~MemoryConsumer() { manager_.Leave(*this, true); }

void MemoryConsumer::Leave() { manager_.Leave(*this, false); }

Result<int64_t> MemoryConsumer::SpillAll() { return manager_.SpillAll(*this); }

Result<int64_t> MemoryConsumer::AcquireMemory(int64_t bytes) {
  const Result<int64_t> granted = manager_.AcquireExecutionMemory(bytes, this);
  if (granted.ok()) used_.fetch_add(*granted, std::memory_order_relaxed);
  return granted;
}

void MemoryConsumer::FreeMemory(int64_t bytes) {
  if (bytes < 0) return;
  manager_.ReleaseExecutionMemory(bytes, this);
  used_.fetch_sub(bytes, std::memory_order_relaxed);
}

Result<MemoryBlock> MemoryConsumer::AllocatePage(int64_t required_bytes) {
  if (required_bytes < 0) return MemoryError(ErrorCode::kInvalidArgument, required_bytes);
  return Charge(manager_.AllocatePage(std::max(page_size_bytes_, required_bytes), this),
                required_bytes);
}

Result<MemoryBlock> MemoryConsumer::AllocateArray(int64_t words) {
  if (words < 0) return MemoryError(ErrorCode::kInvalidArgument, words);
  // What overflows is too large for a page in any case.
  const int64_t required_bytes = words > INT64_MAX / 8 ? INT64_MAX : words * 8;
  return Charge(manager_.AllocatePage(required_bytes, this), required_bytes);
}

// Books a page, or refuses it where it is too small (CONS-6).
Result<MemoryBlock> MemoryConsumer::Charge(const Result<MemoryBlock>& page,
                                           int64_t required_bytes) {
  if (!page.ok()) return page;
  MemoryBlock block = *page;
  if (block && block.size >= required_bytes) {
    used_.fetch_add(block.size, std::memory_order_relaxed);
    return page;
  }
  const int64_t got = block.size;
  if (block) manager_.FreePage(block, this);
  manager_.ShowMemoryUsage();
  return MemoryError(ErrorCode::kUnableToAcquireMemory, required_bytes, got);
}

MemoryError MemoryConsumer::FreePage(MemoryBlock& page) {
  if (manager_.compatibility() == Compatibility::kSpark) {
    used_.fetch_sub(page.size, std::memory_order_relaxed);
    return manager_.FreePage(page, this);
  }
  const MemoryError error = manager_.FreePage(page, this);
  if (!error) used_.fetch_sub(page.size, std::memory_order_relaxed);
  return error;
}

}  // namespace taskmem
