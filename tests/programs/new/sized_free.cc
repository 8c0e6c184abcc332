// cfree and C23's sized frees, where they exist, take any block.
#include <dlfcn.h>

#include "tests/programs/support/check.h"

int main() {
  auto* cfree = reinterpret_cast<void (*)(void*)>(dlsym(RTLD_DEFAULT, "cfree"));
  auto* free_sized = reinterpret_cast<void (*)(void*, size_t)>(dlsym(RTLD_DEFAULT, "free_sized"));
  auto* free_aligned_sized =
      reinterpret_cast<void (*)(void*, size_t, size_t)>(dlsym(RTLD_DEFAULT, "free_aligned_sized"));
  for (size_t size : {1, 100, 5000, 300000, 5000000}) {
    if (cfree != nullptr) {
      cfree(malloc(size));
      cfree(nullptr);
    }
    if (free_sized != nullptr) {
      free_sized(malloc(size), size);
      free_sized(nullptr, 0);
    }
    if (free_aligned_sized != nullptr) {
      free_aligned_sized(aligned_alloc(256, size), 256, size);
      free_aligned_sized(nullptr, 256, size);
    }
  }
}
