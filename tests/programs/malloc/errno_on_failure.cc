// A request that cannot be met returns NULL and sets ENOMEM, whoever is asked.
#include <malloc.h>

#include "tests/programs/support/check.h"

namespace {

void RequireRefused(void* result) {
  const int error = errno;
  REQUIRE(result == nullptr);
  REQUIRE_COMPARE(error, ==, ENOMEM);
  errno = 0;
}

}  // namespace

int main() {
  for (size_t impossible : {size_t{PTRDIFF_MAX} + 1, SIZE_MAX - 4096, SIZE_MAX - 64, SIZE_MAX}) {
    errno = 0;
    RequireRefused(malloc(impossible));
    RequireRefused(calloc(1, impossible));
    RequireRefused(calloc(impossible, 1));
    RequireRefused(realloc(nullptr, impossible));
    RequireRefused(reallocarray(nullptr, impossible, 1));
    RequireRefused(memalign(64, impossible));
    RequireRefused(memalign(1 << 20, impossible));
    RequireRefused(aligned_alloc(64, impossible));
    RequireRefused(valloc(impossible));
    RequireRefused(pvalloc(impossible));

    int untouched;
    void* pointer = &untouched;
    REQUIRE_COMPARE(posix_memalign(&pointer, 64, impossible), ==, ENOMEM);
    REQUIRE(pointer == &untouched);

    char* block = static_cast<char*>(malloc(100));
    FillPattern(block, 100, 1);
    errno = 0;
    RequireRefused(realloc(block, impossible));
    REQUIRE(HasPattern(block, 100, 1));
    free(block);
  }
}
