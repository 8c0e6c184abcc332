// A refused realloc leaves the old block as it was: content, owner, charge.
#include "tests/programs/support/tasks.h"

int main() {
  Begin(kTask, 16 * kMiB);
  Attach(kTask);
  for (size_t size : {size_t{1000}, size_t{100000}, size_t{6 * kMiB}}) {
    void* block = malloc(size);
    FillPattern(block, size, 3);
    const uint64_t charged = Charged(kTask);
    errno = 0;
    REQUIRE(realloc(block, 32 * kMiB) == nullptr);
    REQUIRE_COMPARE(errno, ==, ENOMEM);
    errno = 0;
    REQUIRE(reallocarray(block, 32, kMiB) == nullptr);
    REQUIRE_COMPARE(errno, ==, ENOMEM);
    REQUIRE(HasPattern(block, size, 3));
    REQUIRE(OwnerOf(block) == kTask);
    REQUIRE_COMPARE(Charged(kTask), <=, charged);
    REQUIRE_COMPARE(Charged(kTask), >=, size);
    block = realloc(block, size + size / 4);
    REQUIRE(block != nullptr && HasPattern(block, size, 3));
    free(block);
  }
  REQUIRE_COMPARE(Usage(kTask).refusals, >=, 6);
}
