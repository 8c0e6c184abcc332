// What Spark throws where the block store returns an error.
#ifndef TASKMEM_TESTS_CONFORMANCE_STORE_ERRORS_H_
#define TASKMEM_TESTS_CONFORMANCE_STORE_ERRORS_H_

#include <string_view>

#include "spill/names/store_error.h"
#include "tests/conformance/json.h"

namespace taskmem::conformance {

// The exception, as traces describe it. `block`: what the call was about.
Json SparkStoreError(const StoreError& error, std::string_view block);

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_STORE_ERRORS_H_
