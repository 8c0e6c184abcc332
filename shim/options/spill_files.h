// The spill directory of this process (--spill-dir): where the block store's files and the
// overflow file go. One for both.
#ifndef TASKMEM_SHIM_OPTIONS_SPILL_FILES_H_
#define TASKMEM_SHIM_OPTIONS_SPILL_FILES_H_

#include "shim/options/options.h"
#include "spill/files/spill_dir.h"

namespace taskmem {

// Once, at the start, after OpenLog. Where --overflow asks for a directory and none is named
// it is the user's in kSpillParent. Says in one line why one that was named cannot be used.
void OpenSpillFiles(const Options& options);

// nullptr: there is none that can be used.
SpillDir* SpillFiles();

// At the end of the process: removes what it has there.
void RemoveSpillFiles();

// Around fork(), inside of what uses the directory.
void AddSpillFileLocks(class ForkLocks* locks);
void SpillFilesAfterForkInChild();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OPTIONS_SPILL_FILES_H_
