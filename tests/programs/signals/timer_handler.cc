// A handler of SIGALRM or SIGPROF allocates while the main thread does anything
// but that. What it allocates lives on between its calls.
#include <signal.h>
#include <sys/time.h>

#include "tests/programs/support/check.h"

namespace {

constexpr int kCalls = 500;
constexpr int kBlocks = 16;

volatile sig_atomic_t g_calls = 0;
void* volatile g_blocks[kBlocks];

constexpr size_t SizeOf(int call) { return call % 50 == 0 ? 500000u : 1u + 97u * (call % 60); }

void Handle(int) {
  const int saved_errno = errno;
  const int call = g_calls;
  const int at = call % kBlocks;
  if (g_blocks[at] != nullptr) {
    const int then = call - kBlocks;
    REQUIRE(HasPattern(g_blocks[at], SizeOf(then), static_cast<unsigned>(then)));
    free(g_blocks[at]);
  }
  void* block = malloc(SizeOf(call) / 2);
  g_blocks[at] = realloc(block, SizeOf(call));
  REQUIRE(g_blocks[at] != nullptr);
  FillPattern(g_blocks[at], SizeOf(call), static_cast<unsigned>(call));
  free(calloc(10, 10));
  g_calls = call + 1;
  errno = saved_errno;
}

}  // namespace

int main(int argc, char** argv) {
  const bool is_profiler = argc > 1 && strcmp(argv[1], "prof") == 0;
  struct sigaction action = {};
  action.sa_handler = Handle;
  action.sa_flags = SA_RESTART;
  REQUIRE(sigaction(is_profiler ? SIGPROF : SIGALRM, &action, nullptr) == 0);
  const itimerval often = {{0, 1000}, {0, 1000}};
  REQUIRE(setitimer(is_profiler ? ITIMER_PROF : ITIMER_REAL, &often, nullptr) == 0);
  volatile uint64_t sum = 0;
  while (g_calls < kCalls) sum = sum + 1;
  const itimerval never = {};
  REQUIRE(setitimer(is_profiler ? ITIMER_PROF : ITIMER_REAL, &never, nullptr) == 0);
  for (void* block : g_blocks) free(block);
}
