// aligned_alloc and memalign as glibc 2.36 has them: any alignment is rounded up
// to a power of two, the size need not be a multiple, 2^63 + 1 is EINVAL.
#include <malloc.h>

#include "tests/programs/support/check.h"

namespace {

using Function = void* (*)(size_t, size_t);

void Require(Function function) {
  constexpr struct {
    size_t asked;
    size_t given;
  } kAlignments[] = {{0, 16},  {1, 16},   {2, 16},      {3, 16},       {8, 16},      {16, 16},
                     {17, 32}, {24, 32},  {48, 64},     {100, 128},    {4095, 4096}, {4097, 8192},
                     {64, 64}, {96, 128}, {3000, 4096}, {40000, 65536}};
  for (const auto& [asked, given] : kAlignments) {
    for (size_t size : {1, 50, 100, 1000, 5000, 70000}) {
      void* block = function(HideSize(asked), HideSize(size));
      REQUIRE(block != nullptr);
      REQUIRE(IsAligned(block, given));
      FillPattern(block, size, 1);
      REQUIRE(HasPattern(block, size, 1));
      free(block);
    }
  }
  errno = 0;
  REQUIRE(function(HideSize(SIZE_MAX), 10) == nullptr);
  REQUIRE_COMPARE(errno, ==, EINVAL);
  errno = 0;
  REQUIRE(function(HideSize(SIZE_MAX / 2 + 2), 10) == nullptr);
  REQUIRE_COMPARE(errno, ==, EINVAL);
  errno = 0;
  REQUIRE(function(HideSize(SIZE_MAX / 2 + 1), 10) == nullptr);
  REQUIRE_COMPARE(errno, ==, ENOMEM);
}

}  // namespace

int main() {
  Require(memalign);
  Require(aligned_alloc);
}
