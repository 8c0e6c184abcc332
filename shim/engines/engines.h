// Which adapters there are, and when they are attached.
#ifndef TASKMEM_SHIM_ENGINES_ENGINES_H_
#define TASKMEM_SHIM_ENGINES_ENGINES_H_

#include "shim/options/options.h"

namespace taskmem {

// From now on an adapter is attached to its engine before that starts the first thread of its
// pool. Called by the constructor.
void OpenEngines(const Options& options);

// Libraries were unloaded: what comes to their places is looked at anew.
void ForgetUnloadedEngines();

// Around fork(): nobody is attaching an adapter.
void AddEngineLocks(class ForkLocks* locks);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_ENGINES_ENGINES_H_
