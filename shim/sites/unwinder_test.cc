#include "shim/sites/unwinder.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "accounting/audit/site_table.h"

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
