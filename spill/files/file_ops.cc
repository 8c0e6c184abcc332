#include "spill/files/file_ops.h"

#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>

namespace taskmem {
namespace {

sigset_t TooLargeSignal() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGXFSZ);
  return set;
}

class SystemCalls final : public FileOps {};

constinit SystemCalls g_system_calls;

}  // namespace

FileOps& SystemFileOps() { return g_system_calls; }

int MoveDescriptorUp(int fd) {
  constexpr rlim_t kFarUp = 600;
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return fd;
  // Where few are allowed, the last but a few.
  const rlim_t wanted = std::min(kFarUp, limit.rlim_cur - limit.rlim_cur / 8);
  if (static_cast<rlim_t>(fd) >= wanted) return fd;
  const int moved = fcntl(fd, F_DUPFD_CLOEXEC, static_cast<int>(wanted));
  if (moved < 0) return fd;
  close(fd);
  return moved;
}

FileOpsGuard::FileOpsGuard() : errno_(errno) {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state_);
  const sigset_t too_large = TooLargeSignal();
  pthread_sigmask(SIG_BLOCK, &too_large, &mask_);
  sigset_t pending;
  was_pending_ = sigpending(&pending) == 0 && sigismember(&pending, SIGXFSZ) == 1;
}

FileOpsGuard::~FileOpsGuard() {
  if (!was_pending_) {
    const sigset_t too_large = TooLargeSignal();
    constexpr timespec kNow = {};
    while (sigtimedwait(&too_large, nullptr, &kNow) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  pthread_setcancelstate(cancel_state_, nullptr);
  errno = errno_;
}

}  // namespace taskmem
