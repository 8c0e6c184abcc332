// quick_exit: its handlers allocate and free.
#include "tests/programs/support/check.h"

namespace {

void* g_block = nullptr;

void AtQuickExit() {
  REQUIRE(HasPattern(g_block, 900, 1));
  free(g_block);
  free(malloc(3000000));
}

}  // namespace

int main() {
  g_block = malloc(900);
  FillPattern(g_block, 900, 1);
  REQUIRE(at_quick_exit(AtQuickExit) == 0);
  quick_exit(0);
}
