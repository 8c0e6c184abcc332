#include "tools/base/child_process.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <iterator>

#include "tools/base/process_info.h"

namespace taskmem {
namespace {

// Those of writing where nobody reads, or beyond `ulimit -f`.
constexpr int kOutputSignals[] = {SIGPIPE, SIGXFSZ};
struct sigaction g_output_actions[std::size(kOutputSignals)];
bool g_ignores_output_signals = false;

void RestoreOutputSignals() {
  if (!g_ignores_output_signals) return;
  for (size_t i = 0; i < std::size(kOutputSignals); ++i) {
    sigaction(kOutputSignals[i], &g_output_actions[i], nullptr);
  }
}

// Takes every signal that asks something of the program; faults of our own and
// the terminal's writing rules stay ours.
class SignalTaker {
 public:
  SignalTaker() {
    sigfillset(&taken_);
    for (int own :
         {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPIPE, SIGTTIN, SIGTTOU}) {
      sigdelset(&taken_, own);
    }
    // Were it ignored, the child would be reaped before we ask for it.
    struct sigaction by_default = {};
    by_default.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &by_default, &old_child_action_);
    sigprocmask(SIG_BLOCK, &taken_, &old_mask_);
  }
  ~SignalTaker() { Restore(); }
  SignalTaker(const SignalTaker&) = delete;
  SignalTaker& operator=(const SignalTaker&) = delete;

  // Also in the child before it executes.
  void Restore() {
    sigaction(SIGCHLD, &old_child_action_, nullptr);
    sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
  }

  // Waits for a signal; -1 where the wait was interrupted.
  int Take(siginfo_t* info) { return sigwaitinfo(&taken_, info); }

 private:
  sigset_t taken_;
  sigset_t old_mask_;
  struct sigaction old_child_action_;
};

// The one that continues us; it signals nobody else.
pid_t g_continuer = 0;

// Stops this process as its child is stopped: whoever waits for us is to see it, and who
// continues us is forwarded. Where somebody continues or kills the child alone, a process that
// looks at it continues us.
void StopLike(pid_t child) {
  const pid_t self = getpid();
  const pid_t continuer = fork();
  if (continuer == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    syscall(SYS_close_range, 0u, ~0u, 0u);
    constexpr useconds_t kIntervalUs = 20'000;
    for (;; usleep(kIntervalUs)) {
      if (getppid() != self) _exit(0);
      // Again and again: we may not have stopped yet.
      if (!IsStopped(child)) kill(self, SIGCONT);
    }
  }
  g_continuer = continuer;
  raise(SIGSTOP);
  if (continuer < 0) return;
  kill(continuer, SIGKILL);
  while (waitpid(continuer, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool WasSentByAnotherProcess(const siginfo_t& info, pid_t child) {
  const bool was_sent =
      info.si_code == SI_USER || info.si_code == SI_QUEUE || info.si_code == SI_TKILL;
  return was_sent && info.si_pid != child && info.si_pid != g_continuer;
}

// Collects what happened to the child. True when it has ended.
bool Reap(ChildResult* result) {
  int status;
  struct rusage usage;
  while (wait4(result->pid, &status, WNOHANG | WUNTRACED, &usage) == result->pid) {
    if (WIFSTOPPED(status)) {
      StopLike(result->pid);
      continue;
    }
    result->wait_status = status;
    result->peak_resident_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
    return true;
  }
  return false;
}

}  // namespace

void IgnoreOutputSignals() {
  if (g_ignores_output_signals) return;
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  for (size_t i = 0; i < std::size(kOutputSignals); ++i) {
    sigaction(kOutputSignals[i], &ignore, &g_output_actions[i]);
  }
  g_ignores_output_signals = true;
}

ChildResult RunChild(const std::string& path, const std::vector<std::string>& arguments) {
  ChildResult result;
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  // Where the child says why it was not executed. No pipe: there may be no descriptor left.
  void* const shared =
      mmap(nullptr, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) {
    result.exec_errno = errno;
    return result;
  }
  auto* const exec_errno = static_cast<std::atomic<int>*>(shared);
  SignalTaker signals;
  result.pid = fork();
  if (result.pid == 0) {
    RestoreOutputSignals();
    signals.Restore();
    execvp(path.c_str(), argv.data());
    *exec_errno = errno;
    _exit(127);
  }
  if (result.pid < 0) {
    result.exec_errno = errno;
    munmap(shared, sizeof(int));
    return result;
  }
  // Still there, even if it has ended: it is not reaped yet.
  result.start_time = StartTime(result.pid).value_or(0);

  while (!Reap(&result)) {
    siginfo_t info;
    const int signal = signals.Take(&info);
    if (signal > 0 && signal != SIGCHLD && WasSentByAnotherProcess(info, result.pid)) {
      kill(result.pid, signal);
    }
  }
  result.exec_errno = *exec_errno;
  munmap(shared, sizeof(int));
  return result;
}

void EndLike(int wait_status) {
  if (!WIFSIGNALED(wait_status)) _exit(WEXITSTATUS(wait_status));
  const int signal = WTERMSIG(wait_status);
  prctl(PR_SET_DUMPABLE, 0);
  struct sigaction by_default = {};
  by_default.sa_handler = SIG_DFL;
  sigaction(signal, &by_default, nullptr);
  sigset_t unblocked;
  sigemptyset(&unblocked);
  sigaddset(&unblocked, signal);
  sigprocmask(SIG_UNBLOCK, &unblocked, nullptr);
  raise(signal);
  // The first process of a container survives its own signals.
  _exit(128 + signal);
}

}  // namespace taskmem
