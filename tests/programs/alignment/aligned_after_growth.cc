// A block that is aligned within the page of a block that grew before: the page has slices that
// nobody prepared for a block to begin in. Another thread frees it.
#include <malloc.h>
#include <pthread.h>
#include <string.h>

#include "tests/programs/support/check.h"

namespace {

constexpr size_t kKiB = 1024;

void* Free(void* block) {
  free(block);
  return nullptr;
}

void FreeElsewhere(void* block) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, Free, block) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
}

}  // namespace

int main() {
  for (size_t first = 150; first < 600; first += 64) {
    for (size_t more = 64; more < 1024; more += 64) {
      char* grown = static_cast<char*>(malloc(first * kKiB));
      REQUIRE(grown != nullptr);
      grown = static_cast<char*>(realloc(grown, (first + more) * kKiB));
      REQUIRE(grown != nullptr);
      memset(grown, 7, (first + more) * kKiB);
      free(grown);
      for (size_t alignment = 128; alignment <= 1024; alignment *= 2) {
        // As large as the page that is left, or nearly so.
        for (size_t less = 0; less < 192; less += 64) {
          if (first + more < alignment + less) continue;
          const size_t size = (first + more - alignment - less + 64) * kKiB;
          char* const block = static_cast<char*>(memalign(alignment * kKiB, size));
          REQUIRE(block != nullptr && reinterpret_cast<uintptr_t>(block) % (alignment * kKiB) == 0);
          REQUIRE(malloc_usable_size(block) >= size);
          memset(block, 5, size);
          if (less == 0) {
            FreeElsewhere(block);
          } else {
            free(block);
          }
        }
      }
    }
  }
  return 0;
}
