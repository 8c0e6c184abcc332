// Adoption: the allocators that engines bring with them (DuckDB's, Polars' and Arrow's jemalloc,
// Arrow's mimalloc) hand out this library's blocks, which are charged, refused and put into the
// overflow file like all others.
//
// When: after the loader has mapped a library and before anything of it has run, so that no block
// of such an allocator exists yet. Of libraries that come later the function tells that the loader
// calls for debuggers (loader_watch.h); what is there at the program's start, and the program
// itself, is looked at before the first constructor (at_start.h).
// How: the heads of its functions become jumps. All of an allocator's, or none; what looks
// different from what is expected stays as it is, and the log says why.
#ifndef TASKMEM_SHIM_ADOPT_ADOPTION_H_
#define TASKMEM_SHIM_ADOPT_ADOPTION_H_

#include "shim/options/options.h"

namespace taskmem {

// Called by the constructor.
void OpenAdoption(const Options& options);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_ADOPT_ADOPTION_H_
