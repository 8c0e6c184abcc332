// Profiles: what is known of a program's way to fail. A table, by program name.
#ifndef TASKMEM_SHIM_MAPPINGS_PROFILES_H_
#define TASKMEM_SHIM_MAPPINGS_PROFILES_H_

#include "shim/options/options.h"

namespace taskmem {

// Finds the profile that --profile names (or, for "auto", the program's own) and
// lets it set what the user did not.
void ApplyProfile(Options* options);

// Whether the program survives a mapping that is refused.
bool MayRefuseMappings();

// Exempts the calling thread from refusals where its name is one the profile
// knows as the runtime's own: a NULL in them ends the process.
void ExemptIfRuntimeThread();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPINGS_PROFILES_H_
