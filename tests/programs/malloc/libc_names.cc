// glibc's own names for malloc and its kin give and take the same blocks.
#include <dlfcn.h>
#include <malloc.h>

#include "tests/programs/support/check.h"

namespace {

template <typename Function>
Function* Find(const char* name) {
  auto* function = reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
  if (function == nullptr) dprintf(STDERR_FILENO, "no symbol %s\n", name);
  REQUIRE(function != nullptr);
  return function;
}

void* Good(void* block, size_t alignment) {
  REQUIRE(block != nullptr && IsAligned(block, alignment));
  FillPattern(block, 5000, 1);
  REQUIRE(malloc_usable_size(block) >= 5000);
  return block;
}

}  // namespace

int main() {
  auto* libc_free = Find<void(void*)>("__libc_free");
  auto* libc_malloc = Find<void*(size_t)>("__libc_malloc");
  auto* libc_realloc = Find<void*(void*, size_t)>("__libc_realloc");
  free(Good(libc_malloc(5000), 16));
  free(Good(Find<void*(size_t, size_t)>("__libc_calloc")(5, 1000), 16));
  free(Good(Find<void*(size_t, size_t)>("__libc_memalign")(1024, 5000), 1024));
  free(Good(Find<void*(size_t)>("__libc_valloc")(5000), 4096));
  free(Good(Find<void*(size_t)>("__libc_pvalloc")(5000), 4096));
  free(Good(libc_realloc(Good(malloc(5000), 16), 6000), 16));
  // glibc 2.26 and later has no such name any more; we do.
  auto* libc_posix_memalign =
      reinterpret_cast<int (*)(void**, size_t, size_t)>(dlsym(RTLD_DEFAULT, "__posix_memalign"));
  if (libc_posix_memalign != nullptr) {
    void* block = nullptr;
    REQUIRE_COMPARE(libc_posix_memalign(&block, 512, 5000), ==, 0);
    libc_free(Good(block, 512));
  }
  libc_free(Good(malloc(5000), 16));
  libc_free(Good(calloc(5000, 1), 16));
  libc_free(Good(memalign(64, 5000), 64));
  libc_free(Good(realloc(Good(libc_malloc(5000), 16), 100000), 16));
}
