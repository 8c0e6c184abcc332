// The command `taskmem`, run by the library: what it can write of a process no code below malloc
// can.
#ifndef TASKMEM_SHIM_PROCESS_OWN_COMMAND_H_
#define TASKMEM_SHIM_PROCESS_OWN_COMMAND_H_

namespace taskmem {

// Runs the command that lies beside the library, or that TASKMEM_COMMAND names, with `arguments`
// (the first is its name; nullptr ends them), and returns when it has ended; other threads go on.
// 0: it exited with 0. Else an errno value: ENOENT, there is none; EIO, it failed; EAGAIN or
// ENOMEM. Children of the program and SIGCHLD are not touched; PR_SET_PTRACER is lost.
int RunOwnCommand(char* const* arguments);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PROCESS_OWN_COMMAND_H_
