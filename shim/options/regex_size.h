// Expressions of --task-by thread-name: of a size that the system's regcomp can be trusted with.
#ifndef TASKMEM_SHIM_OPTIONS_REGEX_SIZE_H_
#define TASKMEM_SHIM_OPTIONS_REGEX_SIZE_H_

namespace taskmem {

// A POSIX extended expression that compiles, and of modest repetitions: regcomp writes out what is
// repeated, and three nested repetitions can be gigabytes. Less than 256 bytes. May allocate.
bool IsExtendedRegex(const char* text);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OPTIONS_REGEX_SIZE_H_
