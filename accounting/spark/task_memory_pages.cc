// Pages of a task memory manager (TMM-10 to TMM-14).
#include "accounting/base/memory_log.h"
#include "accounting/spark/task_memory_manager.h"
#include "accounting/tasks/spill_candidates.h"

namespace taskmem {

MemoryAllocator& TaskMemoryManager::tungsten_allocator() const {
  return tungsten_mode() == MemoryMode::kOnHeap ? heap_allocator_ : unsafe_allocator_;
}

Result<MemoryBlock> TaskMemoryManager::AllocatePage(int64_t bytes, MemoryConsumer* consumer) {
  if (!IsConsumerOfThis(consumer) || consumer->mode() != tungsten_mode()) {
    return MemoryError(ErrorCode::kInvalidArgument, bytes);
  }
  if (bytes > kMaxPageBytes) return MemoryError(ErrorCode::kTooLargePage, bytes);
  for (int64_t failures = 0;; ++failures) {
    const Result<int64_t> acquired = AcquireExecutionMemory(bytes, consumer);
    if (!acquired.ok()) return acquired.error();
    if (*acquired == 0) return MemoryBlock{};
    const Result<int> number = ReservePageNumber();
    if (!number.ok()) {
      Release(*acquired, tungsten_mode());
      return number.error();
    }
    Result<MemoryBlock> memory = tungsten_allocator().Allocate(*acquired);
    const bool is_scarce = memory.error().code == ErrorCode::kNoPhysicalMemory;
    if (is_scarce && !IsSpark()) memory = AllocateAfterSpilling(*acquired, *consumer);
    if (memory.ok()) return PutPage(*number, *memory);
    if (!is_scarce || !IsSpark()) {
      UnreservePageNumber(*number);
      Release(*acquired, tungsten_mode());
      return memory.error();
    }
    // There is less memory than the pools believe: what was acquired is kept from them,
    // and the next acquisition makes consumers spill (TMM-11).
    LogLine(pools_.log(), LogLevel::kWarn,
            "Failed to allocate a page (%lld bytes) for %lld times, try again.",
            static_cast<long long>(*acquired), static_cast<long long>(failures));
    acquired_but_not_used_bytes_.fetch_add(*acquired, std::memory_order_relaxed);
    UnreservePageNumber(*number);
  }
}

Result<int> TaskMemoryManager::ReservePageNumber() {
  const MutexLock lock(mutex_);
  const int number = pages_.Reserve();
  if (number == PageTable::kFull) return MemoryError(ErrorCode::kPageTableFull);
  if (number == PageTable::kNoMemory) return MemoryError(ErrorCode::kNoPhysicalMemory);
  return number;
}

void TaskMemoryManager::UnreservePageNumber(int number) {
  const MutexLock lock(mutex_);
  pages_.Unreserve(number);
}

// TMM-12: the memory of a page for which enough has been acquired, but which the allocator
// does not have. What consumers spill goes to the pools: here it is the memory itself
// that counts.
Result<MemoryBlock> TaskMemoryManager::AllocateAfterSpilling(int64_t bytes,
                                                             MemoryConsumer& requester) {
  const MemoryError failure(ErrorCode::kNoPhysicalMemory, bytes);
  // A page allocated amid a spill does not make others spill in turn.
  if (IsSpillingOnThisThread()) return failure;
  SpillCandidates candidates;
  FindCandidates(requester, candidates);
  for (int retry = 0; retry < kMaxPageRetries; ++retry) {
    SpillAnswer answer;
    do {
      if (!SpillOne(candidates, Doubled(bytes, retry), requester, &answer)) return failure;
      if (answer.error) return answer.error;
    } while (answer.freed == 0);
    LogLine(pools_.log(), LogLevel::kWarn,
            "Failed to allocate a page (%lld bytes) for %d times, try again.",
            static_cast<long long>(bytes), retry);
    const Result<MemoryBlock> memory = tungsten_allocator().Allocate(bytes);
    if (memory.ok()) return memory;
  }
  return failure;
}

MemoryBlock TaskMemoryManager::PutPage(int number, const MemoryBlock& memory) {
  MemoryBlock page = memory;
  page.mode = tungsten_mode();
  page.page_number = number;
  page.manager = number_;
  const MutexLock lock(mutex_);
  page.serial = pages_.Put(number, page.base, page.size);
  return page;
}

MemoryError TaskMemoryManager::FreePage(MemoryBlock& page, MemoryConsumer* consumer) {
  if (!IsConsumerOfThis(consumer) || consumer->mode() != tungsten_mode()) {
    return MemoryError(ErrorCode::kInvalidArgument);
  }
  if (page.page_number == MemoryBlock::kNoPageNumber) {
    return MemoryError(ErrorCode::kNotFromThisManager);
  }
  if (page.page_number < 0) return MemoryError(ErrorCode::kDoubleFree);
  if (page.manager != number_) return MemoryError(ErrorCode::kNotFromThisManager);
  mutex_.Lock();
  const PageTable::Page taken = pages_.Take(page.page_number, page.serial, false);
  mutex_.Unlock();
  if (taken.base == nullptr) return MemoryError(ErrorCode::kDoubleFree);
  FreeMemoryOf(taken);
  page.base = nullptr;
  page.size = taken.size;
  page.page_number = MemoryBlock::kFreedInAllocator;
  ReleaseExecutionMemory(taken.size, consumer);
  return {};
}

void TaskMemoryManager::FreeMemoryOf(const PageTable::Page& page) {
  MemoryBlock memory;
  memory.base = page.base;
  memory.size = page.size;
  memory.mode = tungsten_mode();
  memory.page_number = MemoryBlock::kFreedInManager;
  tungsten_allocator().Free(memory);
}

Result<uint64_t> TaskMemoryManager::EncodePageNumberAndOffset(const MemoryBlock& page,
                                                              uint64_t offset) const {
  const char* const base =
      page.manager == number_ ? pages_.BaseOf(page.page_number, page.serial) : nullptr;
  if (base == nullptr) return MemoryError(ErrorCode::kInvalidPage);
  // Relative to the base it fits in 51 bits.
  if (tungsten_mode() == MemoryMode::kOffHeap) offset -= reinterpret_cast<uint64_t>(base);
  return EncodeAddress(page.page_number, offset);
}

Result<char*> TaskMemoryManager::GetPage(uint64_t address) const {
  if (tungsten_mode() == MemoryMode::kOffHeap) return nullptr;
  char* const base = pages_.BaseOf(DecodePageNumber(address));
  if (base == nullptr) return MemoryError(ErrorCode::kInvalidPage);
  return base;
}

Result<uint64_t> TaskMemoryManager::GetOffsetInPage(uint64_t address) const {
  if (tungsten_mode() == MemoryMode::kOnHeap) return DecodeOffset(address);
  const char* const base = pages_.BaseOf(DecodePageNumber(address));
  if (base == nullptr) return MemoryError(ErrorCode::kInvalidPage);
  return reinterpret_cast<uint64_t>(base) + DecodeOffset(address);
}

bool TaskMemoryManager::IsPageNumberTaken(int number) const {
  const MutexLock lock(mutex_);
  return pages_.IsReserved(number);
}

PageNumbers TaskMemoryManager::page_numbers() const {
  const MutexLock lock(mutex_);
  return pages_.reserved();
}

int TaskMemoryManager::LivePages() const {
  const MutexLock lock(mutex_);
  return pages_.live_pages();
}

}  // namespace taskmem
