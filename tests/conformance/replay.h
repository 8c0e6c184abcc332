// Performs the steps of a trace with the library and compares.
#ifndef TASKMEM_TESTS_CONFORMANCE_REPLAY_H_
#define TASKMEM_TESTS_CONFORMANCE_REPLAY_H_

#include <cstdint>
#include <string>

#include "tests/conformance/trace.h"

namespace taskmem::conformance {

struct ReplayResult {
  int64_t steps = 0;     // compared
  std::string mismatch;  // lines for a reader; empty: there is none
  // A thread neither returned nor waited, and goes on.
  bool left_thread_behind = false;
};

// Ends at the first mismatch: what follows from it is none of its own. Throws TraceError
// for a trace that asks for what is unknown or makes no sense.
ReplayResult Replay(Trace trace);

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_REPLAY_H_
