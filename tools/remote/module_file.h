// The file of a module: the one that is loaded, not another that has its name by now.
#ifndef TASKMEM_TOOLS_REMOTE_MODULE_FILE_H_
#define TASKMEM_TOOLS_REMOTE_MODULE_FILE_H_

#include <sys/types.h>

#include <vector>

#include "tools/remote/modules.h"
#include "tools/remote/remote_memory.h"

namespace taskmem {

// A descriptor, which is the caller's, of a regular file that begins as the module does
// (fingerprint). -1: there is none. Nothing else is ever opened for reading: paths are the
// process's, which is not trusted.
int OpenModuleFile(const Module& module);

// While the process is there: what OpenModuleFile needs for the modules that hold one of
// `addresses`, so that it finds their files when the process is gone. These are opened through
// /proc/PID/root, where the process has another root or mount name space, or, where the file has
// been deleted or replaced, through /proc/PID/map_files (root only) and /proc/PID/exe; what is
// found nowhere is copied from the process's memory, which has the symbols that the loader needs.
void HoldModuleFiles(pid_t pid, const RemoteMemory& memory, const std::vector<uint64_t>& addresses,
                     std::vector<Module>* modules);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_MODULE_FILE_H_
