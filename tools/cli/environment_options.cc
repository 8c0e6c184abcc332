#include "tools/cli/environment_options.h"

#include <sys/stat.h>

#include "shim/options/option_table.h"
#include "tools/base/message.h"
#include "tools/base/units.h"

namespace taskmem {

Options OptionsOfEnvironmentOrFail() {
  Options options;
  char error[512];
  if (!ParseOptionsFromEnvironment(&options, error, sizeof(error))) {
    Fatal(kExitUsage, "{}", error);
  }
  return options;
}

Options OptionsOfReaderOrFail() {
  const Options options = OptionsOfEnvironmentOrFail();
  struct stat file;
  if (stat(options.stats_dir, &file) == 0 && !S_ISDIR(file.st_mode)) {
    Fatal(kExitUsage, "bad value '{}' for TASKMEM_STATS_DIR: it is no folder",
          Printable(options.stats_dir));
  }
  return options;
}

}  // namespace taskmem
