// A process under a quota of 100 MiB: a block is charged whole, touched or not; a mapping of which
// its maker says that it is sparse, by what is touched.
#include <sys/mman.h>

#include "tests/programs/support/check.h"

int main() {
  constexpr size_t kBytes = 200 << 20;
  REQUIRE(Hide(calloc(1, kBytes)) == nullptr && errno == ENOMEM);
  REQUIRE(Hide(malloc(kBytes)) == nullptr && errno == ENOMEM);
  constexpr int kPrivate = MAP_PRIVATE | MAP_ANONYMOUS;
  REQUIRE(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, kPrivate, -1, 0) == MAP_FAILED);
  auto* const sparse = static_cast<char*>(
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, kPrivate | MAP_NORESERVE, -1, 0));
  REQUIRE(sparse != MAP_FAILED);
  memset(sparse, 1, 1 << 20);
  void* const block = Hide(malloc(50 << 20));
  REQUIRE(block != nullptr);
  free(block);
}
