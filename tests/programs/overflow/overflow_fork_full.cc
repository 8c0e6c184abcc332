// fork() with memory in the overflow file where nothing helps it.
//   argv[1]: full (no descriptor is free), held (another thread makes children by _Fork, which
//   live on and have all descriptors of their time), refused (the system allows no process)
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <vector>

#include "tests/programs/support/overflow.h"

namespace {

constexpr uint64_t kQuota = 32 * kMiB;
constexpr size_t kBlocks = 16;
constexpr int kForks = 30;

Filled blocks[kBlocks];

void CheckAll() {
  for (const Filled& block : blocks) REQUIRE(block.IsIntact());
}

// A child that looks at what it inherited.
void ForkOnce() {
  errno = 77;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  REQUIRE_COMPARE(errno, ==, 77);
  if (child == 0) {
    CheckAll();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE_COMPARE(WEXITSTATUS(status), ==, 0);
}

void FillDescriptors() {
  rlimit limit = {};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_cur < 1024 ? limit.rlim_cur : 1024;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) {
  }
  REQUIRE_COMPARE(errno, ==, EMFILE);
}

std::atomic<bool> stop{false};
std::vector<pid_t> held;

void* MakeChildren(void*) {
  while (!stop.load() && held.size() < 200) {
    const pid_t child = _Fork();
    if (child == 0) {
      for (;;) pause();
    }
    if (child > 0) held.push_back(child);
  }
  return nullptr;
}

}  // namespace

int main(int, char** argv) {
  const std::string_view how = argv[1];
  Begin(kTask, kQuota);
  Attach(kTask);
  for (size_t i = 0; i < kBlocks; ++i) blocks[i] = Take(8 * kMiB, i);
  if (how == "full") {
    FillDescriptors();
    for (int i = 0; i < 3; ++i) ForkOnce();
  } else if (how == "held") {
    held.reserve(200);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, MakeChildren, nullptr) == 0);
    for (int i = 0; i < kForks; ++i) ForkOnce();
    stop.store(true);
    REQUIRE(pthread_join(thread, nullptr) == 0);
    for (const pid_t child : held) {
      REQUIRE(kill(child, SIGKILL) == 0);
      REQUIRE(waitpid(child, nullptr, 0) == child);
    }
  } else {
    // Of no effect on root.
    const rlimit none = {0, 0};
    REQUIRE(setuid(65534) == 0 && setrlimit(RLIMIT_NPROC, &none) == 0);
    REQUIRE(fork() == -1);
    REQUIRE_COMPARE(errno, ==, EAGAIN);
  }
  CheckAll();
  RequireBooksMatchPages();
  return 0;
}
