// Which traces the replayer cannot do justice to.
#ifndef TASKMEM_TESTS_CONFORMANCE_OPERATIONS_H_
#define TASKMEM_TESTS_CONFORMANCE_OPERATIONS_H_

#include "tests/conformance/trace.h"

namespace taskmem::conformance {

// Why the trace cannot be replayed at all; nullptr: it can.
const char* ReasonToSkip(const Trace& trace);

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_OPERATIONS_H_
