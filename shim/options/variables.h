// The variables of taskmem that are set, as they were set: what is misspelled among them, and what
// is in force.
//
// Used inside the preload library: no allocation, no C++ runtime. They are read at the start,
// before threads.
#ifndef TASKMEM_SHIM_OPTIONS_VARIABLES_H_
#define TASKMEM_SHIM_OPTIONS_VARIABLES_H_

#include <cstddef>

namespace taskmem {

// say(line) for every variable whose name begins with TASKMEM_ and that nothing reads: with the one
// that was probably meant. Once: the programs that this one starts are silent about them, and a
// privileged process (environment.h) is, too.
void SayUnknownVariables(void (*say)(const char* line));

// " TASKMEM_QUOTA=64M TASKMEM_AT_LIMIT=kill": the options that are set, cut to `bytes` with the
// NUL.
void DescribeSetOptions(char* text, size_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OPTIONS_VARIABLES_H_
