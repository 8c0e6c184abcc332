// Libraries that come after the program's start: seen when the loader has mapped them, and before
// anything of them runs, by the function that it calls for debuggers (r_debug).
#ifndef TASKMEM_SHIM_ADOPT_LOADER_WATCH_H_
#define TASKMEM_SHIM_ADOPT_LOADER_WATCH_H_

#include <link.h>

namespace taskmem::adopt {

// From now on `loaded` is called for each library that comes, in any name space, with the loader's
// lock held. Once. False: that cannot be.
bool WatchLoader(void (*loaded)(const link_map& library));

// Calls visit(library) for what is loaded, the program first, in all name spaces. For those who
// hold the loader's lock, or run before the program.
template <typename Visit>
void ForEachLoaded(Visit visit) {
  constexpr int kWithNamespaces = 2;
  const r_debug_extended* space = reinterpret_cast<const r_debug_extended*>(&_r_debug);
  while (space != nullptr) {
    for (const link_map* map = space->base.r_map; map != nullptr; map = map->l_next) visit(*map);
    space = space->base.r_version >= kWithNamespaces ? space->r_next : nullptr;
  }
}

}  // namespace taskmem::adopt

#endif  // TASKMEM_SHIM_ADOPT_LOADER_WATCH_H_
