// The variables of taskmem that are set, as they were set: what is misspelled among them, and what
// is in force.
//
// Used inside the preload library: no allocation, no C++ runtime. They are read at the start,
// before threads.
#ifndef TASKMEM_SHIM_OPTIONS_VARIABLES_H_
#define TASKMEM_SHIM_OPTIONS_VARIABLES_H_

#include <cstddef>

namespace taskmem {

// Set where unknown variables have been said, so that the programs which this one starts are
// silent about them.
inline constexpr char kSaidUnknownVariable[] = "TASKMEM_SAID_UNKNOWN";

// say(name, nearest) for every variable whose name begins with TASKMEM_ and that nothing reads.
// `nearest`: the variable that was probably meant, or nullptr. Nothing where kSaidUnknownVariable
// is set, or in a privileged process (environment.h). Whether there was one.
bool ForEachUnknownVariable(void (*say)(const char* name, const char* nearest));

// " TASKMEM_QUOTA=64M TASKMEM_AT_LIMIT=kill": the options that are set, cut to `bytes` with the
// NUL.
void DescribeSetOptions(char* text, size_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OPTIONS_VARIABLES_H_
