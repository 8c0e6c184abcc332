#include "shim/options/spill_files.h"

#include <cstring>

#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/base/user_directory.h"
#include "shim/options/log.h"

namespace taskmem {
namespace {

constinit SpillDir g_dir;

}  // namespace

void OpenSpillFiles(const Options& options) {
  char path[kUserDirectoryBytes] = "";
  const bool is_named = options.spill_dir[0] != '\0';
  if (!is_named) {
    if (options.overflow != Overflow::kOn) return;
    const int fd = OpenUserDirectory(kSpillParent, path);
    if (fd < 0) {
      Message("cannot make %s for --spill-dir: %s; nothing is written there", path,
              strerrordesc_np(-fd));
      return;
    }
    os::Call(SYS_close, fd);
  }
  const DiskError error =
      is_named ? g_dir.Open(options.spill_dir, Log()) : g_dir.OpenOwn(path, Log());
  if (error) {
    char why[256];
    Describe(error, why, sizeof(why));
    Message("cannot use %s for --spill-dir: %s; nothing is written there",
            is_named ? options.spill_dir : path, why);
  }
}

SpillDir* SpillFiles() { return g_dir.is_open() ? &g_dir : nullptr; }

void RemoveSpillFiles() {
  if (g_dir.is_open()) g_dir.Remove();
}

// It is opened as the program starts, or never.
void AddSpillFileLocks(ForkLocks* locks) {
  if (g_dir.is_open()) g_dir.AddLocks(locks);
}

void SpillFilesAfterForkInChild() {
  if (g_dir.is_open()) g_dir.ResetInChild();
}

}  // namespace taskmem
