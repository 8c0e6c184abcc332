// What cannot be had: bad_alloc from the throwing forms, nullptr from the others.
#include <new>
#include <vector>

#include "tests/programs/support/check.h"

namespace {

template <typename Allocate>
void RequireThrows(Allocate allocate) {
  bool caught = false;
  try {
    Hide(allocate());
  } catch (const std::bad_alloc& error) {
    caught = error.what()[0] != '\0';
  }
  REQUIRE(caught);
}

}  // namespace

int main() {
  constexpr std::align_val_t kAlign{64};
  for (size_t impossible : {size_t{PTRDIFF_MAX} + 1, SIZE_MAX - 100, SIZE_MAX}) {
    const size_t size = HideSize(impossible);
    RequireThrows([size] { return ::operator new(size); });
    RequireThrows([size] { return ::operator new[](size); });
    REQUIRE(::operator new(size, std::nothrow) == nullptr);
    REQUIRE(::operator new[](size, std::nothrow) == nullptr);
    // libstdc++ 12 rounds this one up to 0 and succeeds.
    if (size == SIZE_MAX) continue;
    RequireThrows([size] { return ::operator new(size, kAlign); });
    RequireThrows([size] { return ::operator new[](size, kAlign); });
    REQUIRE(::operator new(size, kAlign, std::nothrow) == nullptr);
    REQUIRE(::operator new[](size, kAlign, std::nothrow) == nullptr);
  }
  // Through code of the C++ library, and caught by its base class.
  bool caught = false;
  try {
    std::vector<char> vector;
    vector.reserve(HideSize(PTRDIFF_MAX - 10));
  } catch (const std::exception&) {
    caught = true;
  }
  REQUIRE(caught);
}
