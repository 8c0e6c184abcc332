// --log FILE: what taskmem does, a line each.
//
//   2026-11-21T10:31:02.123Z 4711.4712 warn task 7 refused 1.0 MiB; tried: collect 0 B
//
// The file is opened for each line: a program may close every descriptor it does not know,
// and get ours for a file of its own. Lines come from slow paths only.
#ifndef TASKMEM_SHIM_OPTIONS_LOG_H_
#define TASKMEM_SHIM_OPTIONS_LOG_H_

#include "accounting/base/memory_log.h"
#include "shim/options/options.h"

namespace taskmem {

// Once, at the start. Says in one line where the file cannot be written.
void OpenLog(const Options& options);

// Where the pools, the store and the hooks write. Before OpenLog, and without --log, it
// wants nothing. Allocates nothing, takes no lock, preserves errno.
MemoryLog* Log();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OPTIONS_LOG_H_
