// Control before anything of the program has run: when all libraries that it begins with are
// mapped, and none of their constructors has been called, some of which allocate.
//
// The loader resolves a function of this library then (an IFUNC), by calling the library. Nothing
// may be used there that a constructor sets up: no books, no environment of libc's; system
// calls, and functions of libc that keep no state.
#ifndef TASKMEM_SHIM_ADOPT_AT_START_H_
#define TASKMEM_SHIM_ADOPT_AT_START_H_

#include <link.h>

namespace taskmem::adopt {

// Called then for what is loaded (loader_watch.h), but for libc and its kin; not in a privileged
// process, and where the variable TASKMEM_ADOPT says "off". `path` is the file's.
void LookAtStart(const link_map& library, const char* path);

// Where nobody calls it the loader would not.
void EnsureLookAtStart();

}  // namespace taskmem::adopt

#endif  // TASKMEM_SHIM_ADOPT_AT_START_H_
