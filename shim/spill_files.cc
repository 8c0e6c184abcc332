#include "shim/spill_files.h"

#include "shim/log.h"
#include "shim/message.h"

namespace taskmem {
namespace {

constinit SpillDir g_dir;

}  // namespace

void OpenSpillFiles(const Options& options) {
  char path[sizeof(options.spill_dir)];
  const char* named = options.spill_dir;
  if (*named == '\0') {
    if (options.overflow != Overflow::kOn) return;
    DefaultSpillDir(path, sizeof(path));
    named = path;
  }
  if (const DiskError error = g_dir.Open(named, Log())) {
    char why[256];
    Describe(error, why, sizeof(why));
    Message("cannot use %s for --spill-dir: %s; nothing is written there", named, why);
  }
}

SpillDir* SpillFiles() { return g_dir.is_open() ? &g_dir : nullptr; }

void RemoveSpillFiles() {
  if (g_dir.is_open()) g_dir.Remove();
}

void SpillFilesBeforeFork() { g_dir.LockForFork(); }
void SpillFilesAfterForkInParent() { g_dir.UnlockAfterFork(); }

void SpillFilesAfterForkInChild() { g_dir.ResetInChild(); }

}  // namespace taskmem
