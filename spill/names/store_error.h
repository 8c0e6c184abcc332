// The block store's errors are values. Each is what Spark throws, or asserts.
#ifndef TASKMEM_SPILL_NAMES_STORE_ERROR_H_
#define TASKMEM_SPILL_NAMES_STORE_ERROR_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "accounting/memory/memory_error.h"
#include "spill/files/disk_error.h"

namespace taskmem {

enum class StoreErrorCode : uint8_t {
  kNone = 0,
  // Block locks:
  kBlockNotFound,         // no such block is registered, or in memory (MS-12)
  kNotLockedForReading,   // unlock of a block nobody has locked (BLK-6)
  kReleasedTooOften,      // by this task: others have locked it (BLK-6)
  kNotLockedForWriting,   // the task does not hold the write lock that it needs (B10)
  kDowngradeWithoutLock,  // as above, of downgradeLock (BLK-6)
  kRemoveWithoutLock,     // as above, of removeBlock (BLK-6)
  kTaskNotRegistered,     // the task was never registered, or has released all its locks
  kTimedOut,              // the wait for a lock met its deadline
  kInterrupted,           // the wait, or the unrolling (MS-8), was cancelled
  // The memory store:
  kAlreadyPresent,    // put of a block that is in memory (MS-5, MS-6)
  kNotSerialized,     // getBytes of values (MS-12)
  kNotDeserialized,   // getValues of bytes (MS-12)
  kTransferFailed,    // unroll memory could not become storage memory (MS-9)
  kSupplierFailed,    // of the bytes of a block (MS-5), or they have another size
  kIteratorFailed,    // the values of a block could not be had
  kSerializerFailed,  // a value could not be written, or bytes could not be read
  kSinkFailed,        // where the bytes of a block were to be written to
  kDropFailed,        // an eviction handler failed (MS-18)
  // The block manager:
  kNoDisk,  // the level needs a disk, and there is none
  kDisk,    // the disk failed: see `disk`; the block is as it was
  kLost,    // it was on disk, and is nowhere any more: see `disk`
  // A partially serialized block:
  kAlreadyConsumed,  // PART-2
  kDiscarded,        // PART-2
  // All of them:
  kInvalidArgument,  // a name that is none, a negative size
  kNoMemory,         // for the store's own books, or for what is stored
  kMemory,           // the memory manager's: see `memory`
};

struct StoreError {
  StoreErrorCode code = StoreErrorCode::kNone;
  int64_t task = 0;    // whom it is about, where the code is of block locks
  MemoryError memory;  // kMemory, and the detail of what failed
  DiskError disk;      // kDisk, kLost

  StoreError() = default;
  explicit StoreError(StoreErrorCode error, int64_t the_task = 0) : code(error), task(the_task) {}
  StoreError(StoreErrorCode error, std::string_view detail)
      : code(error), memory(ErrorCode::kNone, detail) {}
  explicit StoreError(const MemoryError& error)
      : code(error ? StoreErrorCode::kMemory : StoreErrorCode::kNone), memory(error) {}

  StoreError(StoreErrorCode error, const DiskError& the_disk) : code(error), disk(the_disk) {}

  explicit operator bool() const { return code != StoreErrorCode::kNone; }
};

// Writes what the error means, about `block`, in Spark's words where Spark has some, as
// one line of at most `size` bytes with its NUL.
void Describe(const StoreError& error, std::string_view block, char* text, size_t size);

// A value or an error.
template <typename T>
class [[nodiscard]] StoreResult {
 public:
  StoreResult(T value) : value_(std::move(value)) {}
  StoreResult(const StoreError& error) : value_{}, error_(error) {}
  StoreResult(StoreErrorCode error) : value_{}, error_(error) {}

  bool ok() const { return error_.code == StoreErrorCode::kNone; }
  // Only where ok().
  const T& operator*() const { return value_; }
  T& operator*() { return value_; }
  const T* operator->() const { return &value_; }
  T* operator->() { return &value_; }
  const StoreError& error() const { return error_; }

 private:
  T value_;
  StoreError error_;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_NAMES_STORE_ERROR_H_
