// Directories of processes in the spill directory: their locks, and the end of those that
// nobody has any more.
#ifndef TASKMEM_SPILL_FILES_LEFT_OVERS_H_
#define TASKMEM_SPILL_FILES_LEFT_OVERS_H_

#include "accounting/base/memory_log.h"
#include "spill/files/file_ops.h"
#include "spill/files/spill_names.h"

namespace taskmem {

// Locks the directory of a process, a descriptor, by the lock file in it, which is made where
// there is none. Returns a descriptor of it: the lock is held until it is closed.
// -EWOULDBLOCK: somebody else has it, or is removing the directory. Other errors are the
// system's; file systems without locks answer ENOLCK, ENOSYS, EOPNOTSUPP, EINVAL.
int LockSpillDir(FileOps& ops, int directory);

// Removes the files that the stores made in `directory`, a descriptor, but not its lock.
// Returns how many.
int RemoveSpillFiles(FileOps& ops, int directory);

// Removes the directory `base`/`name` of a process with all that the stores made there; what
// else there is stays, and the directory with it. `directory` is a descriptor of it, whose lock
// the caller holds. False: it is still there.
bool RemoveSpillDir(FileOps& ops, int base, const SpillDirName& name, int directory);

// Removes the directories in `base`, a descriptor, that dead processes of this user left, and
// those that the calling process left before an exec. Several processes may do so at once.
// `base_path` is for the lines that `log` (may be null) gets.
void RemoveLeftOvers(FileOps& ops, int base, const char* base_path, MemoryLog* log);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_FILES_LEFT_OVERS_H_
