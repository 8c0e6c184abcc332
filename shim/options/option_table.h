// taskmem's options, in one table: it gives each its name, its variable,
// its default and its sentence; the library, the command, the manual and the
// complaints about bad values all come from it.
//
// Used inside the preload library: no allocation, no C++ runtime.
#ifndef TASKMEM_SHIM_OPTIONS_OPTION_TABLE_H_
#define TASKMEM_SHIM_OPTIONS_OPTION_TABLE_H_

#include <cstddef>

#include "shim/options/options.h"

namespace taskmem {

struct OptionInfo {
  const char* name;           // "quota": --quota and TASKMEM_QUOTA
  const char* variable;       // "TASKMEM_QUOTA"
  const char* value_name;     // "BYTES"; nullptr for a flag (given or "1", "0")
  const char* default_value;  // as the user would write it
  const char* sentence;
  // Stores `value`; false where it is not one. `options` is unchanged then.
  bool (*parse)(const char* value, Options* options);
  const char* expected;  // completes "expected ..." in the complaint
  const char* group;     // the heading of `run --help` it stands under
};

// The table, in the order in which help prints it. Options of a group follow each other.
extern const OptionInfo kOptions[];
extern const size_t kOptionCount;

// Reads every TASKMEM_* variable of the table; none in a privileged process (environment.h). On a
// bad value writes one line without a newline into `error` and returns false.
bool ParseOptionsFromEnvironment(Options* options, char* error, size_t error_bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OPTIONS_OPTION_TABLE_H_
