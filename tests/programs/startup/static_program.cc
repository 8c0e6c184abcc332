// Linked statically: no preload reaches it. Prints the id of its process.
#include "tests/programs/support/check.h"

int main() {
  void* block = malloc(100000);
  FillPattern(block, 100000, 1);
  REQUIRE(HasPattern(block, 100000, 1));
  free(block);
  printf("%d\n", getpid());
}
