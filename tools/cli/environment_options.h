// The options that all commands take from the environment.
#ifndef TASKMEM_TOOLS_CLI_ENVIRONMENT_OPTIONS_H_
#define TASKMEM_TOOLS_CLI_ENVIRONMENT_OPTIONS_H_

#include "shim/options/options.h"

namespace taskmem {

// As the TASKMEM_* variables say. A bad value ends the command with a line.
Options OptionsOfEnvironmentOrFail();
// The same, for who reads the books in the folder that is named there: it may not be there yet, as
// whoever runs something makes it.
Options OptionsOfReaderOrFail();

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_ENVIRONMENT_OPTIONS_H_
