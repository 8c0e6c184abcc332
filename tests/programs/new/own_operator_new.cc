// A program with an operator new and delete of its own, on top of malloc, that
// leaves the other forms to the library: all pairs fit.
#include <new>
#include <string>
#include <vector>

#include "tests/programs/support/check.h"

namespace {
int g_news = 0;
int g_deletes = 0;
}  // namespace

void* operator new(size_t size) {
  ++g_news;
  void* block = malloc(size);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

void operator delete(void* block) noexcept {
  ++g_deletes;
  free(block);
}

struct alignas(128) Wide {
  char bytes[300];
};

int main() {
  for (int i = 0; i < 1000; ++i) {
    ::operator delete(Hide(::operator new(100)));
    ::operator delete[](Hide(::operator new[](100)));
    ::operator delete (Hide(::operator new(100, std::nothrow)), size_t{100});
    ::operator delete (Hide(::operator new(100)), size_t{100});
    ::operator delete(Hide(::operator new[](100)));
    delete static_cast<Wide*>(Hide(new Wide));
    std::vector<std::string> texts(20, std::string(i, 'x'));
    texts.resize(50);
    REQUIRE(texts[0].size() == static_cast<size_t>(i));
  }
  REQUIRE(g_news >= 2000);
  REQUIRE(g_deletes >= 2000);
}
