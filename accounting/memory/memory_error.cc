#include "accounting/memory/memory_error.h"

#include <cstdarg>
#include <cstdio>

namespace taskmem {
namespace {

// The text being written: one line, whatever its parts hold.
struct Line {
  char* text;
  size_t size;

  __attribute__((format(printf, 2, 3))) void Say(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, size, format, arguments);
    va_end(arguments);
    for (char* at = text; *at != '\0'; ++at) {
      if (*at == '\n' || *at == '\r') *at = ' ';
    }
  }
};

}  // namespace

void Describe(const MemoryError& error, char* text, size_t size) {
  if (size == 0) return;
  Line line = {text, size};
  const auto requested = static_cast<long long>(error.requested);
  const auto received = static_cast<long long>(error.received);
  const bool has_detail = error.detail[0] != '\0';
  const char* const colon = has_detail ? ": " : "";

  // No default: the compiler names a code that has no text.
  switch (error.code) {
    case ErrorCode::kNone: return line.Say("no error");
    case ErrorCode::kUnableToAcquireMemory:
      return line.Say(
          "[UNABLE_TO_ACQUIRE_MEMORY] Unable to acquire %lld bytes of memory, got %lld.", requested,
          received);
    case ErrorCode::kInvalidRequest:
      return line.Say("invalid number of bytes requested: %lld", requested);
    case ErrorCode::kInvalidArgument: return line.Say("invalid argument: %lld", requested);
    case ErrorCode::kTimedOut:
      return line.Say("timed out waiting for %lld bytes of execution memory", requested);
    case ErrorCode::kInterrupted:
      return line.Say("interrupted while waiting for %lld bytes of execution memory", requested);
    case ErrorCode::kTaskEnded:
      return line.Say("the task ended while it waited for %lld bytes of execution memory",
                      requested);
    case ErrorCode::kKeyNotFound: return line.Say("key not found: %lld", requested);
    case ErrorCode::kTooManyTasks: return line.Say("no memory for one more task's entry");
    case ErrorCode::kPoolsOutOfBalance:
      return line.Say("assertion failed: the pools of a memory mode do not add up to its maximum");
    case ErrorCode::kNoMemoryStore: return line.Say("memory store not initialized yet");
    case ErrorCode::kEvictionFailed: return line.Say("eviction failed%s%s", colon, error.detail);
    case ErrorCode::kSpillFailed:
      return line.Say("[SPILL_OUT_OF_MEMORY] Error while calling spill()%s%s",
                      error.detail[0] != '\0' ? " on " : "", error.detail);
    case ErrorCode::kSpillInterrupted:
      return line.Say("interrupted while calling spill()%s%s", colon, error.detail);
    case ErrorCode::kTooLargePage:
      return line.Say("Cannot allocate a page of %lld bytes.", requested);
    case ErrorCode::kPageTableFull:
      return line.Say("Have already allocated a maximum of 8192 pages");
    case ErrorCode::kNotFromThisManager:
      return line.Say("Called freePage() on memory that wasn't allocated with allocatePage()");
    case ErrorCode::kDoubleFree:
      return line.Say("Called freePage() on a memory block that has already been freed");
    case ErrorCode::kTaskPage:
      return line.Say(
          "TMM-allocated pages must first be freed via TMM.freePage(), not directly in allocator "
          "free()");
    case ErrorCode::kWrongAllocator:
      return line.Say(
          "baseObject was null; are you trying to use the on-heap allocator to free off-heap "
          "memory?");
    case ErrorCode::kInvalidPage:
      return line.Say("encodePageNumberAndOffset called with invalid page");
    case ErrorCode::kNoPhysicalMemory:
      return line.Say("no physical memory for %lld bytes", requested);
    case ErrorCode::kSystemMemoryTooSmall:
      return line.Say("[INVALID_DRIVER_MEMORY] System memory %lld must be at least %lld.",
                      requested, received);
    case ErrorCode::kExecutorMemoryTooSmall:
      return line.Say("[INVALID_EXECUTOR_MEMORY] Executor memory %lld must be at least %lld.",
                      requested, received);
    case ErrorCode::kInvalidStorageFraction:
      return line.Say(
          "[INVALID_CONF_VALUE.REQUIREMENT] The value '%s' in the config "
          "\"spark.memory.storageFraction\" is invalid. Storage fraction must be in [0,1)",
          error.detail);
    case ErrorCode::kNegativeOffHeapSize:
      return line.Say(
          "[INVALID_CONF_VALUE.REQUIREMENT] The value '%lldb' in the config "
          "\"spark.memory.offHeap.size\" is invalid. The off-heap memory size must not be negative",
          requested);
    case ErrorCode::kOffHeapSizeRequired:
      return line.Say(
          "spark.memory.offHeap.size must be > 0 when spark.memory.offHeap.enabled == true");
    case ErrorCode::kNoOnHeapExecutionMemory: return line.Say("onHeapExecutionMemory must be > 0");
  }
  line.Say("unknown error %d", static_cast<int>(error.code));
}

}  // namespace taskmem
