// What is said of a spill hook that does not return.
#ifndef TASKMEM_SHIM_SPILLING_HOOK_HANG_H_
#define TASKMEM_SHIM_SPILLING_HOOK_HANG_H_

#include "spill/hooks/spill_host.h"

namespace taskmem {

// One line in the log: the hook, its task, the thread that runs it and the one that waits for it,
// and whose lock it waits for, where the kernel and libc say that. Where there is no log and the
// thread that is to allocate waits for a lock of its own, so that it stands still for good, one
// line of the process goes to standard error. Takes no lock and allocates nothing.
void TellOfHang(const HookHang& hang);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SPILLING_HOOK_HANG_H_
