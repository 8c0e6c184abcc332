// The JSON of traces: keys of an object are in no order that matters.
#ifndef TASKMEM_TESTS_CONFORMANCE_JSON_H_
#define TASKMEM_TESTS_CONFORMANCE_JSON_H_

#include <nlohmann/json.hpp>

namespace taskmem::conformance {

using Json = nlohmann::json;

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_JSON_H_
