// How a program tells the `taskmem run` that started it where its books are, or that it could
// make no file for them: by a datagram to a socket in the abstract name space. That needs no file
// system (which may be full, read-only, or another one since a chroot) and no descriptor that is
// inherited (which programs close). The kernel says who sent it.
#ifndef TASKMEM_SHIM_BASE_RUN_NOTICE_H_
#define TASKMEM_SHIM_BASE_RUN_NOTICE_H_

#include <sys/socket.h>
#include <sys/un.h>

namespace taskmem {

// One byte; with kBooks comes a descriptor of the stats file.
enum class RunNotice : char { kBooks = 'b', kNoBooks = 'n' };

// The address of the run of `session`; returns its length.
socklen_t RunAddress(const char* session, sockaddr_un* address);

// Tells the run of `session`, if that is the parent of this process. `stats_file` < 0: there is
// none. Best effort, never waits. Not under a seccomp filter, which may not know the calls.
void TellRun(const char* session, int stats_file);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_RUN_NOTICE_H_
