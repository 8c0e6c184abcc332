// A program at a fixed address has copies of the loader's variables that it names, which nobody has
// filled in yet when the preloaded library is first called.
#include "tests/programs/support/check.h"

extern "C" void* __libc_stack_end;

int main(int argc, char** argv) {
  REQUIRE(argc > 0);
  REQUIRE(__libc_stack_end != nullptr && __libc_stack_end < argv);
  free(malloc(100));
}
