// `--adopt require`: a program whose libraries bring an allocator that is not adopted ends.
#ifndef TASKMEM_SHIM_ADOPT_REQUIRED_H_
#define TASKMEM_SHIM_ADOPT_REQUIRED_H_

#include "shim/options/options.h"

namespace taskmem {

// Called by the constructor. Until then nothing is required.
void OpenRequired(const Options& options);

// These end the program where the option asks for what is not so, with one line that says why not.
// `base`: of a library's file, the name without its folder. May be called under locks.
//
// An allocator of the library is not adopted.
void EndIfRequired(const char* allocator, const char* base, const char* why_not);
// The library has none that is known: only where the option names it.
void EndIfNamed(const char* base);
// None can be adopted.
void EndIfAnyIsRequired(const char* why_not);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_ADOPT_REQUIRED_H_
