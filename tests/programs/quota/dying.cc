// Nothing is refused to a process that is dying, in the way the argument names.
#include <pthread.h>
#include <signal.h>

#include "tests/programs/support/tasks.h"

namespace {

void RequireServed() {
  for (size_t size : {size_t{100}, size_t{300000}, size_t{4 * kMiB}}) {
    void* block = malloc(size);
    REQUIRE(block != nullptr);
    block = realloc(block, size * 2);
    REQUIRE(block != nullptr);
    free(block);
  }
}

void AtExit() { RequireServed(); }

void Handle(int) {
  RequireServed();
  _exit(0);
}

void HandleSignal(int number) {
  struct sigaction action = {};
  action.sa_handler = Handle;
  REQUIRE(sigaction(number, &action, nullptr) == 0);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const char* how = argv[1];
  HandleSignal(SIGABRT);
  HandleSignal(SIGSEGV);
  HandleSignal(SIGBUS);
  Begin(kTask, 4 * kMiB);
  Attach(kTask);
  while (malloc(300000) != nullptr) {
  }
  REQUIRE(malloc(4 * kMiB) == nullptr);
  if (strcmp(how, "exit") == 0) {
    REQUIRE(atexit(AtExit) == 0);
    exit(0);
  } else if (strcmp(how, "return") == 0) {
    REQUIRE(atexit(AtExit) == 0);
    return 0;
  } else if (strcmp(how, "abort") == 0) {
    abort();
  } else if (strcmp(how, "segv") == 0) {
    *static_cast<char*>(Hide(reinterpret_cast<void*>(16))) = 1;
  } else if (strcmp(how, "bus") == 0) {
    raise(SIGBUS);
  }
  return 1;
}
