// `--adopt require`: a program whose libraries bring an allocator that is not adopted ends.
#ifndef TASKMEM_SHIM_ADOPT_REQUIRED_H_
#define TASKMEM_SHIM_ADOPT_REQUIRED_H_

#include "shim/options/options.h"

namespace taskmem {

// Called by the constructor. Until then nothing is required.
void OpenRequired(const Options& options);

// Whether the option names this library (`base`: its file's name, without its folder); without
// names it means all. Thread-safe, without locks.
bool IsAdoptionRequired(const char* base);
// Whether the option names it, not all.
bool IsAdoptionRequiredByName(const char* base);

// Ends the program where it is required, with one line that says why not. May be called under
// locks.
void EndIfRequired(const char* allocator, const char* base, const char* why_not);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_ADOPT_REQUIRED_H_
