#include "tests/conformance/spark_errors.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace taskmem::conformance {
namespace {

// In texts, {requested}, {received} and {detail} stand for the parts of the error; {consumer}
// and {message} for the parts of a detail "consumer : message".
struct SparkException {
  ErrorCode code;
  std::optional<Caller> caller;  // none: any other
  const char* java_class;
  const char* message;               // nullptr: it has none
  const char* condition = nullptr;   // of Spark's own errors
  const char* parameters = nullptr;  // "name=text|name=text"
};

constexpr SparkException kExceptions[] = {
    {ErrorCode::kUnableToAcquireMemory,
     {},
     "org.apache.spark.memory.SparkOutOfMemoryError",
     "[UNABLE_TO_ACQUIRE_MEMORY] Unable to acquire {requested} bytes of memory, got {received}. "
     "SQLSTATE: 53200",
     "UNABLE_TO_ACQUIRE_MEMORY",
     "requestedBytes={requested}|receivedBytes={received}"},
    {ErrorCode::kInvalidRequest,
     {},
     "java.lang.AssertionError",
     "assertion failed: invalid number of bytes requested: {requested}"},
    {ErrorCode::kInvalidArgument, Caller::kManager, "java.lang.AssertionError", "assertion failed"},
    {ErrorCode::kInvalidArgument, {}, "java.lang.AssertionError", nullptr},
    {ErrorCode::kPoolsOutOfBalance, {}, "java.lang.AssertionError", "assertion failed"},
    {ErrorCode::kInterrupted, {}, "java.lang.InterruptedException", nullptr},
    {ErrorCode::kKeyNotFound, {}, "java.util.NoSuchElementException", "key not found: {requested}"},
    {ErrorCode::kEvictionFailed, {}, "java.lang.RuntimeException", "{detail}"},
    {ErrorCode::kSpillFailed, Caller::kSpill, "java.io.IOException", "{detail}"},
    {ErrorCode::kSpillFailed,
     {},
     "org.apache.spark.memory.SparkOutOfMemoryError",
     "[SPILL_OUT_OF_MEMORY] Error while calling spill() on {consumer} : {message} SQLSTATE: 82003",
     "SPILL_OUT_OF_MEMORY",
     "consumerToSpill={consumer}|message={message}"},
    {ErrorCode::kSpillInterrupted, Caller::kSpill, "java.io.InterruptedIOException", "{detail}"},
    {ErrorCode::kSpillInterrupted, {}, "java.lang.RuntimeException", "{detail}"},
    {ErrorCode::kTooLargePage,
     {},
     "org.apache.spark.memory.TooLargePageException",
     "Cannot allocate a page of {requested} bytes."},
    {ErrorCode::kPageTableFull,
     {},
     "java.lang.IllegalStateException",
     "Have already allocated a maximum of 8192 pages"},
    {ErrorCode::kNotFromThisManager,
     {},
     "java.lang.AssertionError",
     "Called freePage() on memory that wasn't allocated with allocatePage()"},
    {ErrorCode::kDoubleFree, Caller::kAllocator, "java.lang.AssertionError",
     "page has already been freed"},
    {ErrorCode::kDoubleFree,
     {},
     "java.lang.AssertionError",
     "Called freePage() on a memory block that has already been freed"},
    {ErrorCode::kTaskPage,
     {},
     "java.lang.AssertionError",
     "TMM-allocated pages must first be freed via TMM.freePage(), not directly in allocator "
     "free()"},
    {ErrorCode::kWrongAllocator,
     {},
     "java.lang.AssertionError",
     "baseObject was null; are you trying to use the on-heap allocator to free off-heap memory?"},
    {ErrorCode::kInvalidPage, Caller::kDecode, "java.lang.AssertionError", nullptr},
    {ErrorCode::kInvalidPage,
     {},
     "java.lang.AssertionError",
     "encodePageNumberAndOffset called with invalid page"},
    {ErrorCode::kSystemMemoryTooSmall,
     {},
     "org.apache.spark.SparkIllegalArgumentException",
     "[INVALID_DRIVER_MEMORY] System memory {requested} must be at least {received}.\n"
     "Please increase heap size using the --driver-memory option or \"spark.driver.memory\" in "
     "Spark configuration. SQLSTATE: F0000",
     "INVALID_DRIVER_MEMORY",
     "config=spark.driver.memory|minSystemMemory={received}|systemMemory={requested}"},
    {ErrorCode::kExecutorMemoryTooSmall,
     {},
     "org.apache.spark.SparkIllegalArgumentException",
     "[INVALID_EXECUTOR_MEMORY] Executor memory {requested} must be at least {received}.\n"
     "Please increase executor memory using the --executor-memory option or "
     "\"spark.executor.memory\" in Spark configuration. SQLSTATE: F0000",
     "INVALID_EXECUTOR_MEMORY",
     "config=spark.executor.memory|minSystemMemory={received}|executorMemory={requested}"},
    {ErrorCode::kInvalidStorageFraction,
     {},
     "org.apache.spark.SparkIllegalArgumentException",
     "[INVALID_CONF_VALUE.REQUIREMENT] The value '{detail}' in the config "
     "\"spark.memory.storageFraction\" is invalid. Storage fraction must be in [0,1) SQLSTATE: "
     "22022",
     "INVALID_CONF_VALUE.REQUIREMENT",
     "confName=spark.memory.storageFraction|confValue={detail}|"
     "confRequirement=Storage fraction must be in [0,1)"},
    {ErrorCode::kNegativeOffHeapSize,
     {},
     "org.apache.spark.SparkIllegalArgumentException",
     "[INVALID_CONF_VALUE.REQUIREMENT] The value '{requested}b' in the config "
     "\"spark.memory.offHeap.size\" is invalid. The off-heap memory size must not be negative "
     "SQLSTATE: 22022",
     "INVALID_CONF_VALUE.REQUIREMENT",
     "confName=spark.memory.offHeap.size|confValue={requested}b|"
     "confRequirement=The off-heap memory size must not be negative"},
    {ErrorCode::kOffHeapSizeRequired,
     {},
     "java.lang.IllegalArgumentException",
     "requirement failed: spark.memory.offHeap.size must be > 0 when spark.memory.offHeap.enabled "
     "== true"},
    {ErrorCode::kNoOnHeapExecutionMemory,
     {},
     "java.lang.IllegalArgumentException",
     "requirement failed: onHeapExecutionMemory must be > 0"},
};

constexpr std::string_view kColon = " : ";

const SparkException* Find(ErrorCode code, Caller caller) {
  for (const SparkException& each : kExceptions) {
    if (each.code == code && (!each.caller || *each.caller == caller)) return &each;
  }
  return nullptr;
}

void Replace(std::string& text, std::string_view what, const std::string& by) {
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

std::string Fill(std::string text, const MemoryError& error) {
  const std::string detail = error.detail;
  const size_t colon = detail.find(kColon);
  Replace(text, "{requested}", std::to_string(error.requested));
  Replace(text, "{received}", std::to_string(error.received));
  Replace(text, "{consumer}", detail.substr(0, colon));
  Replace(text, "{message}", colon != detail.npos ? detail.substr(colon + kColon.size()) : "");
  Replace(text, "{detail}", detail);
  return text;
}

Json Parameters(std::string_view list, const MemoryError& error) {
  Json parameters = Json::object();
  while (!list.empty()) {
    const std::string_view entry = list.substr(0, list.find('|'));
    list.remove_prefix(std::min(list.size(), entry.size() + 1));
    const size_t equals = entry.find('=');
    parameters[std::string(entry.substr(0, equals))] =
        Fill(std::string(entry.substr(equals + 1)), error);
  }
  return parameters;
}

}  // namespace

Json SparkError(const MemoryError& error, Caller caller) {
  const SparkException* const exception = Find(error.code, caller);
  if (exception == nullptr) {
    char text[512];
    Describe(error, text, sizeof(text));
    return {{"class", "not an error of Spark's"}, {"msg", text}};
  }
  Json json = {{"class", exception->java_class}, {"msg", nullptr}};
  if (exception->message != nullptr) {
    const std::string message = Fill(exception->message, error);
    if (!message.empty()) json["msg"] = message;
  }
  if (exception->condition != nullptr) {
    json["condition"] = exception->condition;
    json["params"] = Parameters(exception->parameters, error);
  }
  return json;
}

}  // namespace taskmem::conformance
