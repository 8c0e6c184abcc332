// A handler of SIGSEGV, on a stack of its own, allocates, frees what the program
// allocated, and jumps out.
#include <setjmp.h>
#include <signal.h>

#include "tests/programs/support/check.h"

namespace {

sigjmp_buf g_back;
void* g_block = nullptr;
alignas(16) char g_stack[64 * 1024];

void Handle(int) {
  REQUIRE(HasPattern(g_block, 700, 2));
  free(g_block);
  g_block = malloc(700);
  FillPattern(g_block, 700, 2);
  free(malloc(400000));
  siglongjmp(g_back, 1);
}

}  // namespace

int main() {
  const stack_t stack = {g_stack, 0, sizeof(g_stack)};
  REQUIRE(sigaltstack(&stack, nullptr) == 0);
  struct sigaction action = {};
  action.sa_handler = Handle;
  action.sa_flags = SA_ONSTACK;
  REQUIRE(sigaction(SIGSEGV, &action, nullptr) == 0);
  g_block = malloc(700);
  FillPattern(g_block, 700, 2);
  volatile int rounds = 0;
  while (rounds < 100) {
    const int round = rounds;
    rounds = round + 1;
    if (sigsetjmp(g_back, 1) == 0) {
      *static_cast<char*>(Hide(reinterpret_cast<void*>(16))) = 1;
      REQUIRE(!"reached");
    }
    free(malloc(2000));
  }
  REQUIRE(HasPattern(g_block, 700, 2));
  free(g_block);
}
