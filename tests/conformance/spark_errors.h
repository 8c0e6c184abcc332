// What Spark throws where the library returns an error.
#ifndef TASKMEM_TESTS_CONFORMANCE_SPARK_ERRORS_H_
#define TASKMEM_TESTS_CONFORMANCE_SPARK_ERRORS_H_

#include "accounting/memory/memory_error.h"
#include "tests/conformance/json.h"

namespace taskmem::conformance {

// Spark throws different things for the same mistake in different places.
enum class Caller {
  kManager,     // UnifiedMemoryManager, and settings
  kTaskMemory,  // TaskMemoryManager and MemoryConsumer
  kSpill,       // a consumer's spill, called directly
  kAllocator,
  kDecode,  // of addresses and packed pointers
};

// The exception, as traces describe it.
Json SparkError(const MemoryError& error, Caller caller);

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_SPARK_ERRORS_H_
