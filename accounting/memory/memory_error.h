// The library's errors are values. Each has Spark's meaning; none is thrown.
#ifndef TASKMEM_ACCOUNTING_MEMORY_MEMORY_ERROR_H_
#define TASKMEM_ACCOUNTING_MEMORY_MEMORY_ERROR_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace taskmem {

enum class ErrorCode : uint8_t {
  kNone = 0,
  kUnableToAcquireMemory,  // Spark's UNABLE_TO_ACQUIRE_MEMORY: requested, received (CONS-6)
  kInvalidRequest,         // an execution request of 0 bytes: requested (EXEC-2)
  kInvalidArgument,        // a negative size, a null consumer, a consumer of another mode
  kTimedOut,               // the wait for execution memory met its deadline
  kInterrupted,            // the wait was cancelled (EXEC-12)
  kTaskEnded,              // the waiting task ended
  kKeyNotFound,            // the waiting task's key vanished: requested is the task (EXEC-4)
  kTooManyTasks,           // no memory for one more task's entry
  kPoolsOutOfBalance,      // the pools of a mode do not add up to its maximum (UMM-1)
  kNoMemoryStore,          // eviction is needed before a store was attached (STORE-1)
  kEvictionFailed,         // the store's evictor failed: detail (U10)
  kSpillFailed,            // a consumer's spill failed with an I/O error: detail (TMM-7)
  kSpillInterrupted,       // a consumer's spill was interrupted: detail (TMM-7)
  kTooLargePage,           // more than kMaxPageBytes: requested (TMM-10)
  kPageTableFull,          // all kPageTableSize page numbers are taken (TMM-10)
  kNotFromThisManager,     // freePage of a block no allocatePage made (TMM-13)
  kDoubleFree,             // the block has been freed (TMM-13, ALLOC-4)
  kTaskPage,               // allocator free of a live task page (ALLOC-4)
  kWrongAllocator,         // on-heap free of a block with no base object (ALLOC-4)
  kInvalidPage,            // encode or decode with a page that does not exist (TMM-14)
  kNoPhysicalMemory,       // the allocator has no memory: requested
  // Configuration (UMM-11, UMM-12, MM-1, MM-5):
  kSystemMemoryTooSmall,     // requested: system memory; received: the minimum
  kExecutorMemoryTooSmall,   // requested: executor memory; received: the minimum
  kInvalidStorageFraction,   // not in [0, 1): detail is the value
  kNegativeOffHeapSize,      // requested
  kOffHeapSizeRequired,      // off-heap is enabled with size 0
  kNoOnHeapExecutionMemory,  // the on-heap execution pool would be empty
};

struct MemoryError {
  ErrorCode code = ErrorCode::kNone;
  int64_t requested = 0;  // bytes, where the code says nothing else
  int64_t received = 0;
  char detail[104];  // NUL-terminated; cut where it is longer

  MemoryError() { detail[0] = '\0'; }
  explicit MemoryError(ErrorCode error, int64_t requested_bytes = 0, int64_t received_bytes = 0)
      : code(error), requested(requested_bytes), received(received_bytes) {
    detail[0] = '\0';
  }
  MemoryError(ErrorCode error, std::string_view text) : MemoryError(error) {
    const size_t length = text.size() < sizeof(detail) - 1 ? text.size() : sizeof(detail) - 1;
    for (size_t i = 0; i < length; ++i) detail[i] = text[i];
    detail[length] = '\0';
  }

  explicit operator bool() const { return code != ErrorCode::kNone; }
};

// Writes what the error means, in Spark's words where Spark has some, as one line
// of at most `size` bytes with its NUL.
void Describe(const MemoryError& error, char* text, size_t size);

// A value or an error.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(MemoryError error) : value_{}, error_(error) {}

  bool ok() const { return error_.code == ErrorCode::kNone; }
  // Only where ok().
  const T& value() const { return value_; }
  const T& operator*() const { return value_; }
  const MemoryError& error() const { return error_; }

 private:
  T value_;
  MemoryError error_;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_MEMORY_MEMORY_ERROR_H_
