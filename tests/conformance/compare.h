// Whether what happened is what was recorded.
#ifndef TASKMEM_TESTS_CONFORMANCE_COMPARE_H_
#define TASKMEM_TESTS_CONFORMANCE_COMPARE_H_

#include <string>

#include "tests/conformance/json.h"

namespace taskmem::conformance {

// The same step, with nothing written that the format lets be left out: members that are
// null, 0, false or empty. Where threads that waited went on in the step, without how much is
// free or used in lines that say so: those threads run beside the one that writes the line,
// and may have been answered before it or after. `step` has the members of Step::expected.
Json Normalised(const Json& step);

// How they differ, a line for each difference; empty where they do not. Both normalised.
std::string Differences(const Json& expected, const Json& actual);

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_COMPARE_H_
