#include "shim/process/own_command.h"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/kernel_memory.h"
#include "shim/base/environment.h"
#include "shim/base/os.h"

namespace taskmem {
namespace {

constexpr int kExitNotStarted = 127;
constexpr size_t kStackBytes = 64 * 1024;
constexpr size_t kMostPath = 4096;

// False: it is nowhere, or its path is too long.
bool FindCommand(char (&path)[kMostPath]) {
  const char* const chosen = EnvironmentVariable("TASKMEM_COMMAND");
  if (chosen != nullptr && *chosen != '\0') {
    return snprintf(path, kMostPath, "%s", chosen) < static_cast<int>(kMostPath);
  }
  Dl_info library = {};
  if (dladdr(reinterpret_cast<void*>(&FindCommand), &library) == 0) return false;
  const char* const slash = strrchr(library.dli_fname, '/');
  const int length = slash == nullptr ? 0 : static_cast<int>(slash - library.dli_fname + 1);
  const auto is_at = [&](const char* place) {
    return snprintf(path, kMostPath, "%.*s%s", length, library.dli_fname, place) <
               static_cast<int>(kMostPath) &&
           access(path, X_OK) == 0;
  };
  // Beside the library, or where both are installed: PREFIX/lib and PREFIX/bin.
  return is_at("taskmem") || is_at("../bin/taskmem");
}

// The program's variables without what would preload this library into the command, too. None of
// a privileged program: they are its caller's.
size_t CountVariables() {
  size_t count = 0;
  if (IsPrivileged()) return count;
  while (environ != nullptr && environ[count] != nullptr) ++count;
  return count;
}

void CopyVariables(char** copy, size_t count) {
  constexpr char kPreload[] = "LD_PRELOAD=";
  size_t kept = 0;
  for (size_t i = 0; i < count && environ[i] != nullptr; ++i) {
    if (strncmp(environ[i], kPreload, sizeof(kPreload) - 1) != 0) copy[kept++] = environ[i];
  }
}

struct Start {
  const char* path;
  char* const* arguments;
  char* const* variables;
  char* stack;  // kStackBytes for each of the two processes
};

// In a process that has this memory until it is another program.
int Execute(void* argument) {
  const Start& start = *static_cast<Start*>(argument);
  os::Call(SYS_execve, reinterpret_cast<long>(start.path), reinterpret_cast<long>(start.arguments),
           reinterpret_cast<long>(start.variables));
  os::Call(SYS_exit, kExitNotStarted);
  return 0;
}

// In a process between, which has this memory, too: who becomes another program tells its
// parent by SIGCHLD when it ends, and that shall not be the program.
int ExecuteAndAwait(void* argument) {
  Start& start = *static_cast<Start*>(argument);
  const long pid =
      clone(Execute, start.stack + 2 * kStackBytes, CLONE_VM | CLONE_VFORK | SIGCHLD, &start);
  int status = 0;
  long ended = 0;
  do {
    ended = os::Call(SYS_wait4, pid, reinterpret_cast<long>(&status), 0, 0);
  } while (ended == -EINTR);
  const bool has_exited = pid > 0 && !os::Failed(ended) && WIFEXITED(status);
  os::Call(SYS_exit, has_exited ? WEXITSTATUS(status) : EXIT_FAILURE);
  return 0;
}

// Returns the wait status, or minus an errno. No signal tells of the child's end, and only
// who asks for it by its number meets it: what the program waits for is its own.
int RunAndAwait(Start start) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  // A handler must not run in a child that has our memory.
  pthread_sigmask(SIG_BLOCK, &all, &before);
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  const int pid = clone(ExecuteAndAwait, start.stack + kStackBytes, CLONE_VM | CLONE_VFORK, &start);
  const int error = errno;
  int status = -error;
  if (pid > 0) {
    while (waitpid(pid, &status, __WALL) < 0) {
      if (errno == EINTR) continue;
      status = -errno;
      break;
    }
  }
  prctl(PR_SET_PTRACER, 0);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return status;
}

}  // namespace

int RunOwnCommand(char* const* arguments) {
  const ErrnoKeeper keeper;
  char command[kMostPath];
  if (!FindCommand(command) || access(command, X_OK) != 0) return ENOENT;
  const size_t variables = CountVariables();
  const size_t bytes = 2 * kStackBytes + (variables + 1) * sizeof(char*);
  auto* const memory = static_cast<char*>(MapZeroed(bytes));
  if (memory == nullptr) return ENOMEM;
  auto** const copy = reinterpret_cast<char**>(memory + 2 * kStackBytes);
  CopyVariables(copy, variables);
  const int status = RunAndAwait({command, arguments, copy, memory});
  Unmap(memory, bytes);
  if (status < 0) return -status;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  return WIFEXITED(status) && WEXITSTATUS(status) == kExitNotStarted ? ENOENT : EIO;
}

}  // namespace taskmem
