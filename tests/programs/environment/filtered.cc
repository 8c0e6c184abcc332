// A program under a filter that kills it for system calls it does not make itself. The first
// argument is the kind of filter: "denies" kills for a list of calls, "allows" for all but a
// list, "strict" is the kernel's own, "inherited" is there before the program begins. The second
// is how it is installed: "prctl" or "syscall".
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <string>
#include <vector>

#include "tests/programs/support/check.h"

namespace {

constexpr size_t kMiB = size_t{1} << 20;

void Install(const std::vector<int>& calls, bool calls_are_denied, bool by_prctl) {
  static sock_filter code[128];
  const uint32_t kill = SECCOMP_RET_KILL_PROCESS;
  const uint32_t allow = SECCOMP_RET_ALLOW;
  unsigned short length = 0;
  code[length++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  for (const int call : calls) {
    code[length++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1);
    code[length++] = BPF_STMT(BPF_RET | BPF_K, calls_are_denied ? kill : allow);
  }
  code[length++] = BPF_STMT(BPF_RET | BPF_K, calls_are_denied ? allow : kill);
  const sock_fprog filter = {length, code};
  REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (by_prctl) {
    REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
  } else {
    REQUIRE(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0);
  }
}

// Blocks of all sizes up to `most`, in and out of order.
void Allocate(uint64_t seed, size_t most, int rounds) {
  constexpr size_t kLive = 200;
  void* live[kLive] = {};
  uint64_t random = seed;
  for (int i = 0; i < rounds; ++i) {
    void*& block = live[NextRandom(&random) % kLive];
    const size_t bytes = most >> NextRandom(&random) % 20;
    switch (NextRandom(&random) % 4) {
      case 0:
        free(block);
        block = nullptr;
        break;
      case 1: block = realloc(block, bytes + 1); break;
      case 2:
        free(block);
        block = calloc(1, bytes + 1);
        break;
      default:
        free(block);
        block = aligned_alloc(64, bytes + 64);
        break;
    }
    if (block != nullptr) memset(block, 1, bytes < 4096 ? bytes : 4096);
  }
  for (void* block : live) free(block);
}

void* RunThread(void* blocks) {
  Allocate(7, kMiB, 5000);
  // Another's blocks, which it gets back while it waits for this thread.
  for (int i = 0; i < 1000; ++i) free(static_cast<void**>(blocks)[i]);
  return nullptr;
}

void AllocateInThreads() {
  static void* blocks[1000];
  for (int round = 0; round < 8; ++round) {
    for (void*& block : blocks) block = malloc(5000);
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, RunThread, blocks) == 0);
    REQUIRE(pthread_join(thread, nullptr) == 0);
    // With a quota it is reached here, and what sleeping threads hold is looked for.
    void* large = malloc(100 * kMiB);
    if (large != nullptr) memset(large, 1, 4096);
    free(large);
  }
}

// What the library may do, and the program does not.
const std::vector<int> kUnusual = {
    SYS_process_vm_readv, SYS_membarrier, SYS_openat,      SYS_open,
    SYS_getrandom,        SYS_tgkill,     SYS_sched_yield, SYS_gettid,
    SYS_getpid,           SYS_mincore,    SYS_fstat,       SYS_newfstatat,
    SYS_fstatfs,          SYS_read,       SYS_pread64,     SYS_unlink,
    SYS_getrusage,        SYS_readlinkat, SYS_readlink,    SYS_prctl,
    SYS_fallocate,        SYS_ftruncate,  SYS_kill,        SYS_sched_setattr};

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  const std::string kind = argv[1];
  const bool by_prctl = std::string(argv[2]) == "prctl";
  if (kind == "denies") {
    Install(kUnusual, true, by_prctl);
    Allocate(3, 64 * kMiB, 3000);
    AllocateInThreads();
  } else if (kind == "allows") {
    Allocate(3, kMiB, 1000);
    Install({SYS_write, SYS_brk, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_exit_group},
            false, by_prctl);
    Allocate(5, 64 * kMiB, 5000);
  } else if (kind == "strict") {
    // What it needs later it has by then: no allocator can get more.
    for (int i = 0; i < 1000; ++i) Allocate(static_cast<uint64_t>(i) + 1, 64, 100);
    free(Hide(malloc(100'000)));
    REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
    for (int i = 0; i < 1000; ++i) Allocate(static_cast<uint64_t>(i) + 1, 64, 100);
    syscall(SYS_exit, 0);
  } else {
    REQUIRE(kind == "inherited");
    if (argc == 3) {
      Install({SYS_process_vm_readv, SYS_membarrier, SYS_tgkill}, true, by_prctl);
      execl("/proc/self/exe", argv[0], argv[1], argv[2], "again", nullptr);
      REQUIRE(false);
    }
    Allocate(3, 64 * kMiB, 3000);
    AllocateInThreads();
  }
}
