// A product that overflows is refused, also where it wraps round to something small.
#include <malloc.h>

#include "tests/programs/support/check.h"

int main() {
  constexpr struct {
    size_t count;
    size_t size;
  } kOverflows[] = {
      {SIZE_MAX / 2, 4},
      {size_t{1} << 32, size_t{1} << 32},        // wraps to 0
      {(size_t{1} << 32) + 1, size_t{1} << 32},  // wraps to 4 GiB
      {SIZE_MAX / 16 + 2, 16},                   // wraps to 16
      {SIZE_MAX, SIZE_MAX},                      // wraps to 1
  };
  for (const auto& [count, size] : kOverflows) {
    errno = 0;
    REQUIRE(calloc(HideSize(count), HideSize(size)) == nullptr);
    REQUIRE_COMPARE(errno, ==, ENOMEM);
    void* block = malloc(50);
    FillPattern(block, 50, 3);
    errno = 0;
    REQUIRE(reallocarray(block, HideSize(count), HideSize(size)) == nullptr);
    REQUIRE_COMPARE(errno, ==, ENOMEM);
    REQUIRE(HasPattern(block, 50, 3));
    free(block);
  }
  void* block = reallocarray(nullptr, 10, 10);
  REQUIRE(malloc_usable_size(block) >= 100);
  FillPattern(block, 100, 5);
  block = reallocarray(block, 1000, 1000);
  REQUIRE(block != nullptr && HasPattern(block, 100, 5));
  free(block);
}
