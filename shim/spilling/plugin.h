// --plugin: a library that is loaded beside a program and registers spill hooks for it.
#ifndef TASKMEM_SHIM_SPILLING_PLUGIN_H_
#define TASKMEM_SHIM_SPILLING_PLUGIN_H_

#include "shim/options/options.h"

namespace taskmem {

// Notes what is to be loaded. By the constructor.
void ChoosePlugin(const Options& options);

// Loads it and calls taskmem_plugin_init(); whatever goes wrong is said in one line. Just
// before main, when the program's libraries have been initialised.
void LoadPlugin();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SPILLING_PLUGIN_H_
