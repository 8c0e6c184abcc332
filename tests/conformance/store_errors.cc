#include "tests/conformance/store_errors.h"

#include <string>

#include "tests/conformance/spark_errors.h"

namespace taskmem::conformance {
namespace {

Json Thrown(const char* java_class, const std::string& message) {
  return {{"class", java_class}, {"msg", message}};
}

Json InternalError(const std::string& message) {
  return {{"class", "org.apache.spark.SparkException"},
          {"condition", "INTERNAL_ERROR_STORAGE"},
          {"params", {{"message", message}}},
          {"msg", "[INTERNAL_ERROR_STORAGE] " + message + " SQLSTATE: XX000"}};
}

}  // namespace

Json SparkStoreError(const StoreError& error, std::string_view block) {
  char text[512];
  Describe(error, block, text, sizeof(text));
  switch (error.code) {
    case StoreErrorCode::kMemory: return SparkError(error.memory, Caller::kManager);
    case StoreErrorCode::kBlockNotFound:
      return {{"class", "org.apache.spark.SparkException"},
              {"condition", "_LEGACY_ERROR_TEMP_3031"},
              {"params", {{"blockId", block}}},
              {"msg", text}};
    case StoreErrorCode::kNotLockedForReading:
    case StoreErrorCode::kReleasedTooOften:
    case StoreErrorCode::kTransferFailed: return Thrown("java.lang.AssertionError", text);
    case StoreErrorCode::kDowngradeWithoutLock:
    case StoreErrorCode::kAlreadyPresent: return Thrown("java.lang.IllegalArgumentException", text);
    case StoreErrorCode::kSupplierFailed:
      return Thrown("java.lang.IllegalStateException", error.memory.detail);
    case StoreErrorCode::kNotLockedForWriting:
    case StoreErrorCode::kRemoveWithoutLock:
    case StoreErrorCode::kNotSerialized:
    case StoreErrorCode::kNotDeserialized:
    case StoreErrorCode::kAlreadyConsumed:
    case StoreErrorCode::kDiscarded: return InternalError(text);
    default: return Thrown("not an error of Spark's", text);
  }
}

}  // namespace taskmem::conformance
