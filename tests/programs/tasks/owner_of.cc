// owner_of finds the owner from any address inside a live block, and nobody for
// an address outside the heap or in a large block that was freed. A small one
// that was freed may still be its task's, in a page of that task's own.
#include <malloc.h>

#include "tests/programs/support/tasks.h"

namespace {

bool IsOwned(const void* address) {
  uint64_t id = 0;
  const int result = taskmem_owner_of(address, &id);
  REQUIRE(result == 0 || result == ENOENT);
  return result == 0;
}

void RequireOwned(char* block, size_t size, uint64_t owner) {
  REQUIRE(block != nullptr);
  REQUIRE(OwnerOf(block) == owner);
  REQUIRE(OwnerOf(block + size / 2) == owner);
  REQUIRE(OwnerOf(block + size - 1) == owner);
}

// With and without so many blocks around that the task gets pages of its own.
void Require(uint64_t owner) {
  for (size_t size = 1; size < 100 * kMiB; size = size * 3 / 2 + 1) {
    char* block = static_cast<char*>(malloc(size));
    RequireOwned(block, size, owner);
    free(block);
    if (size > 128 * 1024) REQUIRE(!IsOwned(block));
    block = static_cast<char*>(memalign(4096, size));
    RequireOwned(block, size, owner);
    free(block);
    if (size > 128 * 1024) REQUIRE(!IsOwned(block));
  }
  constexpr int kBlocks = 5000;
  static char* blocks[kBlocks];
  for (char*& block : blocks) block = static_cast<char*>(malloc(500));
  for (char* block : blocks) RequireOwned(block, 500, owner);
  for (int i = 0; i < kBlocks; i += 2) free(blocks[i]);
  for (int i = 1; i < kBlocks; i += 2) {
    RequireOwned(blocks[i], 500, owner);
    free(blocks[i]);
  }
}

}  // namespace

int main() {
  Detach();
  Require(TASKMEM_UNTRACKED);
  Begin(kTask);
  Attach(kTask);
  Require(kTask);
  End(kTask);
  static int in_data = 1;
  REQUIRE(!IsOwned(&in_data));
  REQUIRE(!IsOwned(reinterpret_cast<void*>(&IsOwned)));
}
