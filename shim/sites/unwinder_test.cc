#include "shim/sites/unwinder.h"

#include <gtest/gtest.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "accounting/audit/site_table.h"

// What allocates is counted; sanitizers have a malloc of their own.
std::atomic<uint64_t> g_allocations{0};
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern "C" void* __libc_malloc(size_t bytes);
extern "C" void* malloc(size_t bytes) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(bytes);
}
#endif

namespace taskmem {
namespace {

struct Trace {
  uint64_t frames[kMaxFrames];
  uint32_t count = 0;
  uint32_t flags = 0;
};
Trace g_trace;

// In a test binary the unwinder's own module is the program: what it leaves out of a trace is
// what is in front. So the tests call it through code it takes for another's.
using Collect = void (*)();

__attribute__((noinline)) void TakeTrace() {
  static UnwindScratch scratch;
  const StackPlace here = HereOnStack();
  g_trace.count = Unwind(here, &scratch, g_trace.frames, kMaxFrames, &g_trace.flags);
}

// qsort is libc's: above it the frames of the test are listed.
int CompareAndTrace(const void*, const void*) {
  TakeTrace();
  return 0;
}
__attribute__((noinline)) void ThroughLibc() {
  int values[2] = {1, 2};
  qsort(values, 2, sizeof(int), CompareAndTrace);
  __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) int Deep(int depth) {
  if (depth == 0) {
    ThroughLibc();
    return 0;
  }
  const int result = Deep(depth - 1) + 1;
  __asm__ volatile("" ::: "memory");
  return result;
}

// A frame of which the size is not known in advance, and one that realigns the stack.
__attribute__((noinline)) void Variable(size_t bytes) {
  auto* block = static_cast<volatile char*>(__builtin_alloca(bytes));
  block[0] = 1;
  ThroughLibc();
  block[bytes - 1] = 2;
}
__attribute__((noinline)) void Realigned() {
  alignas(128) char block[256];
  __asm__ volatile("" : : "r"(block) : "memory");
  ThroughLibc();
  __asm__ volatile("" : : "r"(block) : "memory");
}

bool HasFrameIn(void (*function)(), uint64_t bytes = 400) {
  const auto start = reinterpret_cast<uint64_t>(function);
  return std::any_of(g_trace.frames, g_trace.frames + g_trace.count,
                     [&](uint64_t ip) { return ip > start && ip - start < bytes; });
}

TEST(Unwinder, GoesToTheBeginningOfTheThread) {
  ThroughLibc();
  EXPECT_EQ(g_trace.flags, kSiteWhole);
  EXPECT_GT(g_trace.count, 5u);
  EXPECT_TRUE(HasFrameIn(ThroughLibc));
}

TEST(Unwinder, FollowsRecursion) {
  Deep(10);
  ASSERT_EQ(g_trace.flags, kSiteWhole);
  const auto start = reinterpret_cast<uint64_t>(&Deep);
  const auto frames = std::count_if(g_trace.frames, g_trace.frames + g_trace.count,
                                    [&](uint64_t ip) { return ip > start && ip < start + 400; });
  EXPECT_GE(frames, 1);
}

TEST(Unwinder, FollowsFramesOfEveryKind) {
  Variable(1000);
  EXPECT_EQ(g_trace.flags, kSiteWhole);
  EXPECT_TRUE(HasFrameIn(reinterpret_cast<void (*)()>(Variable)));
  Realigned();
  EXPECT_EQ(g_trace.flags, kSiteWhole);
  EXPECT_TRUE(HasFrameIn(Realigned));
}

TEST(Unwinder, StopsWhereThereIsNoMoreRoom) {
  static uint64_t frames[3];
  static UnwindScratch scratch;
  static uint32_t flags;
  static uint32_t count;
  int values[2] = {1, 2};
  qsort(values, 2, sizeof(int), [](const void*, const void*) {
    const StackPlace here = HereOnStack();
    count = Unwind(here, &scratch, frames, 3, &flags);
    return 0;
  });
  EXPECT_EQ(count, 3u);
  EXPECT_EQ(flags, kSiteCut);
}

TEST(Unwinder, GoesThroughASignalToWhatItInterrupted) {
  struct sigaction action = {};
  action.sa_handler = [](int) { ThroughLibc(); };
  struct sigaction old;
  sigaction(SIGUSR1, &action, &old);
  raise(SIGUSR1);
  EXPECT_EQ(g_trace.flags, kSiteWhole);
  EXPECT_GT(g_trace.count, 8u);

  // On a stack of its own.
  static char stack[64 * 1024];
  stack_t alternate = {};
  alternate.ss_sp = stack;
  alternate.ss_size = sizeof(stack);
  stack_t none;
  sigaltstack(&alternate, &none);
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, nullptr);
  raise(SIGUSR1);
  EXPECT_EQ(g_trace.flags, kSiteWhole);
  EXPECT_GT(g_trace.count, 8u);
  sigaltstack(&none, nullptr);
  sigaction(SIGUSR1, &old, nullptr);
}

TEST(Unwinder, WorksInThreadsAndOnStacksOfTheProgram) {
  std::thread([] { ThroughLibc(); }).join();
  EXPECT_EQ(g_trace.flags, kSiteWhole);
  static ucontext_t back;
  static ucontext_t there;
  std::vector<char> stack(64 * 1024);
  getcontext(&there);
  there.uc_stack.ss_sp = stack.data();
  there.uc_stack.ss_size = stack.size();
  there.uc_link = &back;
  makecontext(&there, ThroughLibc, 0);
  swapcontext(&back, &there);
  EXPECT_TRUE(HasFrameIn(ThroughLibc));
}

// Code that no module has: push a frame, call a function, return.
TEST(Unwinder, StopsAtGeneratedCode) {
  constexpr unsigned char kCode[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
  void* page =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  memcpy(page, kCode, sizeof(kCode));
  reinterpret_cast<void (*)(Collect)>(page)(ThroughLibc);
  EXPECT_EQ(g_trace.flags, kSiteUnknownCode);
  ASSERT_GT(g_trace.count, 0u);
  EXPECT_EQ(g_trace.frames[g_trace.count - 1], reinterpret_cast<uint64_t>(page) + 6);
  munmap(page, 4096);
}

TEST(Unwinder, SurvivesPlacesThatMakeNoSense) {
  static UnwindScratch scratch;
  uint64_t frames[kMaxFrames];
  uint32_t flags;
  const auto code = reinterpret_cast<uint64_t>(&qsort) + 4;
  for (const uint64_t sp : {uint64_t{0}, uint64_t{8}, ~uint64_t{7}, uint64_t{1} << 47, code}) {
    for (const uint64_t bp : {uint64_t{0}, ~uint64_t{0}, code}) {
      for (uint64_t ip = code; ip < code + 2000; ip += 7) {
        Unwind({ip, sp, bp}, &scratch, frames, kMaxFrames, &flags);
      }
      Unwind({0, sp, bp}, &scratch, frames, kMaxFrames, &flags);
      Unwind({~uint64_t{0}, sp, bp}, &scratch, frames, kMaxFrames, &flags);
    }
  }
}

// Where the thread's stack is known to end it is read without the kernel.
TEST(Unwinder, ReadsTheThreadsOwnStackItself) {
  std::thread([] {
    ThroughLibc();
    const Trace by_kernel = g_trace;
    auto scratch = std::make_unique<UnwindScratch>();
    const auto top = reinterpret_cast<uint64_t>(__builtin_thread_pointer());
    PrepareToUnwind(top, 0, scratch.get());
    EXPECT_EQ(scratch->stack_top, top);
    EXPECT_LE(scratch->readable_start, HereOnStack().sp);
    uint64_t frames[kMaxFrames];
    uint32_t flags;
    const uint32_t count = Unwind(HereOnStack(), scratch.get(), frames, kMaxFrames, &flags);
    EXPECT_EQ(flags, kSiteWhole);
    EXPECT_GT(count, 0u);
    EXPECT_EQ(scratch->window_bytes, 0u);
    EXPECT_EQ(frames[count - 1], by_kernel.frames[by_kernel.count - 1]);
    // A place above or far from it is not taken for the thread's.
    PrepareToUnwind(HereOnStack().sp - 4096, 0, scratch.get());
    EXPECT_EQ(scratch->readable_start, scratch->stack_top);
    PrepareToUnwind(uint64_t{1} << 46, 0, scratch.get());
    EXPECT_EQ(scratch->readable_start, scratch->stack_top);
  }).join();
}

// From here on this process ends at any system call but these.
void ForbidSystemCalls(const std::vector<long>& allowed) {
  std::vector<sock_filter> program = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
  for (const long number : allowed) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  const sock_fprog filter = {static_cast<unsigned short>(program.size()), program.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) {
    _exit(2);
  }
}

// In a child, while another thread of its parent held the loader's locks: forgets all rules and
// unwinds twice. Its wait status.
int UnwindInside(uint64_t stack_top, const std::vector<long>& allowed) {
  std::atomic<bool> holds{false};
  std::atomic<bool> is_done{false};
  std::atomic<bool>* flags[] = {&holds, &is_done};
  std::thread holder([&flags] {
    dl_iterate_phdr(
        [](dl_phdr_info*, size_t, void* argument) {
          auto** const both = static_cast<std::atomic<bool>**>(argument);
          *both[0] = true;
          while (!*both[1]) std::this_thread::yield();
          return 1;
        },
        flags);
  });
  while (!holds) std::this_thread::yield();
  const pid_t pid = fork();
  if (pid == 0) {
    static UnwindScratch scratch;
    static uint64_t frames[kMaxFrames];
    static uint32_t flags_of[2];
    static uint32_t counts[2];
    PrepareToUnwind(stack_top, 0, &scratch);
    ForgetRules();
    ForbidSystemCalls(allowed);
    const uint64_t allocations = g_allocations;
    for (int i = 0; i < 2; ++i) {
      counts[i] = Unwind(HereOnStack(), &scratch, frames, kMaxFrames, &flags_of[i]);
    }
    const bool is_right = counts[0] > 1 && counts[0] == counts[1] && flags_of[0] == kSiteWhole &&
                          g_allocations == allocations;
    syscall(SYS_exit_group, is_right ? 0 : 1);
  }
  is_done = true;
  holder.join();
  int status = -1;
  waitpid(pid, &status, 0);
  return status;
}

// No lock of the loader's, no allocation, no system call: neither the first time nor later.
TEST(Unwinder, AsksNobodyOnTheThreadsOwnStack) {
  int status = -1;
  std::thread([&status] {
    const auto top = reinterpret_cast<uint64_t>(__builtin_thread_pointer());
    status = UnwindInside(top, {SYS_exit_group});
  }).join();
  EXPECT_EQ(status, 0);
}

TEST(Unwinder, AsksTheKernelForOtherStacksOnly) {
  EXPECT_EQ(UnwindInside(0, {SYS_exit_group, SYS_getpid, SYS_process_vm_readv}), 0);
  const int status = UnwindInside(0, {SYS_exit_group});
  EXPECT_TRUE(WIFSIGNALED(status)) << "the filter works";
}

TEST(Unwinder, KnowsItsWayTheSecondTime) {
  Deep(20);
  const auto start = std::chrono::steady_clock::now();
  constexpr int kTimes = 2000;
  for (int i = 0; i < kTimes; ++i) Deep(20);
  RecordProperty("ns", static_cast<int>((std::chrono::steady_clock::now() - start) / kTimes /
                                        std::chrono::nanoseconds(1)));
  EXPECT_EQ(g_trace.flags, kSiteWhole);
}

}  // namespace
}  // namespace taskmem
