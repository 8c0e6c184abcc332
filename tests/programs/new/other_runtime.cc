// A library with a C++ runtime of its own, as far as operator new needs one.
#include <setjmp.h>

#include <cstddef>
#include <new>

#include "tests/programs/support/check.h"

namespace {
jmp_buf g_caught;
}

// What throws is found by this name.
extern "C" [[noreturn, gnu::visibility("default")]] void ThrowOwn() asm("_ZSt17__throw_bad_allocv");
extern "C" void ThrowOwn() { longjmp(g_caught, 1); }

extern "C" [[gnu::visibility("default")]] void RequireThrowsOwn() {
  const size_t size = HideSize(SIZE_MAX / 2 + 1);
  if (setjmp(g_caught) == 0) {
    Hide(::operator new(size));
    REQUIRE(false);
  }
  if (setjmp(g_caught) == 0) {
    Hide(::operator new (size, std::align_val_t{64}));
    REQUIRE(false);
  }
}
