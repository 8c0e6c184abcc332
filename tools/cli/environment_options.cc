#include "tools/cli/environment_options.h"

#include "shim/options/option_table.h"
#include "tools/base/message.h"

namespace taskmem {

Options OptionsOfEnvironmentOrFail() {
  Options options;
  char error[512];
  if (!ParseOptionsFromEnvironment(&options, error, sizeof(error))) {
    Fatal(kExitUsage, "{}", error);
  }
  return options;
}

}  // namespace taskmem
