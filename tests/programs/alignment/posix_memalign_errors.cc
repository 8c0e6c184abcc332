// posix_memalign: a bad alignment is EINVAL and the pointer keeps its value; what fails for want of
// memory is ENOMEM in errno, too.
#include <errno.h>

#include "tests/programs/support/check.h"

int main() {
  int untouched;
  for (size_t bad : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{4}, size_t{7}, size_t{9},
                     size_t{12}, size_t{24}, size_t{40}, size_t{100}, size_t{4097}, SIZE_MAX}) {
    void* pointer = &untouched;
    REQUIRE_COMPARE(posix_memalign(&pointer, HideSize(bad), 100), ==, EINVAL);
    REQUIRE(pointer == &untouched);
  }
  for (size_t good = sizeof(void*); good <= 65536; good *= 2) {
    void* pointer = nullptr;
    REQUIRE_COMPARE(posix_memalign(&pointer, good, 100), ==, 0);
    REQUIRE(IsAligned(pointer, good));
    FillPattern(pointer, 100, 1);
    free(pointer);
  }
  errno = 0;
  void* pointer = nullptr;
  REQUIRE_COMPARE(posix_memalign(&pointer, 128, HideSize(SIZE_MAX / 2)), ==, ENOMEM);
  REQUIRE_COMPARE(errno, ==, ENOMEM);
}
