// What a process leaves at its end without anybody who waits for it: TASKMEM_STATS, TASKMEM_AUDIT.
#ifndef TASKMEM_SHIM_PROCESS_EXIT_FILES_H_
#define TASKMEM_SHIM_PROCESS_EXIT_FILES_H_

namespace taskmem {

// Before the books are published. A bad pattern ends the process, as other bad options do.
void OpenExitFiles();

// Some are still to be written.
bool HasExitFiles();

// Has them written by the command. False: that failed, which one line says; whoever reads the books
// that are left over writes them.
bool WriteExitFiles();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PROCESS_EXIT_FILES_H_
