#include "spill/names/store_error.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace taskmem {
namespace {

struct Line {
  char* text;
  size_t size;

  __attribute__((format(printf, 2, 3))) void Say(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, size, format, arguments);
    va_end(arguments);
  }
};

}  // namespace

void Describe(const StoreError& error, std::string_view block, char* text, size_t size) {
  if (size == 0) return;
  Line line = {text, size};
  const int length = static_cast<int>(std::min<size_t>(block.size(), 256));
  const char* const name = block.data();
  const auto task = static_cast<long long>(error.task);
  const char* const detail = error.memory.detail;
  const char* const colon = detail[0] != '\0' ? ": " : "";

  // No default: the compiler names a code that has no text.
  switch (error.code) {
    case StoreErrorCode::kNone: return line.Say("no error");
    case StoreErrorCode::kBlockNotFound: return line.Say("Block %.*s does not exist", length, name);
    case StoreErrorCode::kNotLockedForReading:
      return line.Say("assertion failed: Block %.*s is not locked for reading", length, name);
    case StoreErrorCode::kReleasedTooOften:
      return line.Say(
          "assertion failed: Task %lld release lock on block %.*s more times than it acquired it",
          task, length, name);
    case StoreErrorCode::kNotLockedForWriting:
      return line.Say("Task %lld has not locked block %.*s for writing", task, length, name);
    case StoreErrorCode::kDowngradeWithoutLock:
      return line.Say(
          "requirement failed: Task %lld tried to downgrade a write lock that it does not hold on "
          "block %.*s",
          task, length, name);
    case StoreErrorCode::kRemoveWithoutLock:
      return line.Say("Task %lld called remove() on block %.*s without a write lock", task, length,
                      name);
    case StoreErrorCode::kTaskNotRegistered:
      return line.Say("task %lld is not registered for block locks", task);
    case StoreErrorCode::kTimedOut:
      return line.Say("timed out waiting for block %.*s", length, name);
    case StoreErrorCode::kInterrupted: return line.Say("interrupted at block %.*s", length, name);
    case StoreErrorCode::kAlreadyPresent:
      return line.Say("requirement failed: Block %.*s is already present in the MemoryStore",
                      length, name);
    case StoreErrorCode::kNotSerialized:
      return line.Say("should only call getBytes on serialized blocks");
    case StoreErrorCode::kNotDeserialized:
      return line.Say("should only call getValues on deserialized blocks");
    case StoreErrorCode::kTransferFailed:
      return line.Say("assertion failed: transferring unroll memory to storage memory failed");
    case StoreErrorCode::kSupplierFailed:
      return line.Say("the bytes of block %.*s could not be had%s%s", length, name, colon, detail);
    case StoreErrorCode::kIteratorFailed:
      return line.Say("the values of block %.*s could not be had%s%s", length, name, colon, detail);
    case StoreErrorCode::kSerializerFailed:
      return line.Say("a value of block %.*s could not be serialized%s%s", length, name, colon,
                      detail);
    case StoreErrorCode::kSinkFailed:
      return line.Say("block %.*s could not be written%s%s", length, name, colon, detail);
    case StoreErrorCode::kDropFailed:
      return line.Say("block %.*s could not be dropped%s%s", length, name, colon, detail);
    case StoreErrorCode::kNoDisk:
      return line.Say("block %.*s can only go to disk, and there is no --spill-dir", length, name);
    case StoreErrorCode::kDisk:
    case StoreErrorCode::kLost: {
      char why[160];
      Describe(error.disk, why, sizeof(why));
      if (error.disk) return line.Say("block %.*s: %s", length, name, why);
      return line.Say("Block %.*s was not found even though it's read-locked", length, name);
    }
    case StoreErrorCode::kAlreadyConsumed:
      return line.Say(
          "Can only call one of finishWritingToStream() or valuesIterator() and can only call "
          "once.");
    case StoreErrorCode::kDiscarded:
      return line.Say("Cannot call methods on a discarded PartiallySerializedBlock");
    case StoreErrorCode::kInvalidArgument:
      return line.Say("invalid argument for block %.*s", length, name);
    case StoreErrorCode::kNoMemory: return line.Say("no memory for block %.*s", length, name);
    case StoreErrorCode::kMemory: return Describe(error.memory, text, size);
  }
  line.Say("unknown error %d", static_cast<int>(error.code));
}

}  // namespace taskmem
