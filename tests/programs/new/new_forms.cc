// Every form of operator new and delete, and blocks that cross over to malloc.
#include <malloc.h>

#include <new>

#include "tests/programs/support/check.h"

namespace {

constexpr std::align_val_t kAlign{256};

void* Good(void* block, size_t size, size_t alignment) {
  REQUIRE(block != nullptr && IsAligned(block, alignment));
  REQUIRE(malloc_usable_size(block) >= size);
  FillPattern(block, size, 1);
  return Hide(block);
}

void AllForms(size_t size) {
  const size_t natural = NaturalAlignment(size);
  ::operator delete(Good(::operator new(size), size, natural));
  ::operator delete[](Good(::operator new[](size), size, natural));
  ::operator delete(Good(::operator new(size), size, natural), size);
  ::operator delete[](Good(::operator new[](size), size, natural), size);
  ::operator delete(Good(::operator new(size, std::nothrow), size, natural), std::nothrow);
  ::operator delete[](Good(::operator new[](size, std::nothrow), size, natural), std::nothrow);
  ::operator delete(Good(::operator new(size, kAlign), size, 256), kAlign);
  ::operator delete[](Good(::operator new[](size, kAlign), size, 256), kAlign);
  ::operator delete(Good(::operator new(size, kAlign), size, 256), size, kAlign);
  ::operator delete[](Good(::operator new[](size, kAlign), size, 256), size, kAlign);
  ::operator delete(Good(::operator new(size, kAlign, std::nothrow), size, 256), kAlign,
                    std::nothrow);
  ::operator delete[](Good(::operator new[](size, kAlign, std::nothrow), size, 256), kAlign,
                      std::nothrow);
  free(Good(::operator new(size), size, natural));
  ::operator delete(Good(malloc(size), size, natural));
}

}  // namespace

int main() {
  for (size_t size : {1, 8, 100, 5000, 300000, 40000000}) AllForms(size);
  void* first = ::operator new(HideSize(0));
  void* second = ::operator new(HideSize(0));
  REQUIRE(first != nullptr && second != nullptr && first != second);
  ::operator delete(first);
  ::operator delete(second);
  ::operator delete(nullptr);
  ::operator delete[](nullptr, size_t{8});
  ::operator delete(nullptr, kAlign);
}
