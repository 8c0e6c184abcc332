// Takes blocks of 1 GiB, which are not touched, until one is refused, and prints how many
// there were: 5 at most.
#include "tests/programs/support/tasks.h"

int main() {
  Begin(kTask, TASKMEM_NO_QUOTA, "vast");
  Attach(kTask);
  int count = 0;
  while (count < 5 && Hide(malloc(size_t{1} << 30)) != nullptr) ++count;
  printf("%d\n", count);
}
