// Which operations of traces the library does not have.
#ifndef TASKMEM_TESTS_CONFORMANCE_OPERATIONS_H_
#define TASKMEM_TESTS_CONFORMANCE_OPERATIONS_H_

#include <string_view>

#include "tests/conformance/trace.h"

namespace taskmem::conformance {

// Why the trace cannot be replayed at all; nullptr: it can.
const char* ReasonToSkip(const Trace& trace);

// An operation of the memory store, of block locks or of storage levels.
bool NeedsBlockStore(std::string_view op);

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_OPERATIONS_H_
