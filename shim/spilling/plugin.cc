#include "shim/spilling/plugin.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "shim/base/message.h"
#include "shim/base/os.h"

namespace taskmem {
namespace {

char g_path[sizeof(Options::plugin)];

// A name without a slash is a file beside us, if there is one, before dlopen looks for it
// where libraries are.
void PathToOpen(char* path, size_t path_bytes) {
  const bool is_beside =
      strchr(g_path, '/') == nullptr &&
      os::Call(SYS_faccessat, AT_FDCWD, reinterpret_cast<long>(g_path), /*mode, R_OK=*/4) == 0;
  snprintf(path, path_bytes, "%s%s", is_beside ? "./" : "", g_path);
}

}  // namespace

void ChoosePlugin(const Options& options) { memcpy(g_path, options.plugin, sizeof(g_path)); }

void LoadPlugin() {
  if (g_path[0] == '\0') return;
  char path[sizeof(g_path) + 2];
  PathToOpen(path, sizeof(path));
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const why = dlerror();
    Message("cannot load %s for --plugin: %s; going on without it", g_path,
            why != nullptr ? why : "no reason given");
    return;
  }
  auto* const init = reinterpret_cast<int (*)()>(dlsym(library, "taskmem_plugin_init"));
  if (init == nullptr) {
    Message("%s, named by --plugin, has no function taskmem_plugin_init(); going on without it",
            g_path);
    return;
  }
  if (const int error = init()) {
    Message("taskmem_plugin_init() of %s, named by --plugin, returned %d; going on without it",
            g_path, error);
  }
}

}  // namespace taskmem
