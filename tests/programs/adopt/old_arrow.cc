// old_arrow LIBRARY adopted|kept: blocks of mimalloc in a library like old versions of Arrow's are
// malloc's, and the table of allocators says so; or they are the library's own.
#include <dlfcn.h>
#include <malloc.h>

#include <cstring>

#include "tests/programs/support/check.h"
#include "tests/support/stats_file.h"

namespace {

template <typename Function>
Function* Find(void* library, const char* name) {
  auto* const found = reinterpret_cast<Function*>(dlsym(library, name));
  REQUIRE(found != nullptr);
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc == 3);
  const bool is_adopted = strcmp(argv[2], "adopted") == 0;
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  auto* const allocate = Find<void*(size_t)>(library, "ArrowAllocate");
  auto* const reallocate = Find<void*(void*, size_t)>(library, "ArrowReallocate");
  auto* const release = Find<void(void*)>(library, "ArrowFree");
  auto* const owns = Find<int(const void*)>(library, "ArrowOwns");
  void* block = allocate(1000);
  REQUIRE(block != nullptr && reinterpret_cast<uintptr_t>(block) % 64 == 0);
  REQUIRE(owns(block) == !is_adopted);
  memset(block, 7, 1000);
  block = reallocate(block, 100'000);
  REQUIRE(block != nullptr && static_cast<char*>(block)[999] == 7);
  REQUIRE(owns(block) == !is_adopted);
  if (is_adopted) REQUIRE(malloc_usable_size(block) >= 100'000);
  release(block);
  const auto stats = taskmem::test::StatsFile::Own();
  const taskmem::AllocatorRow* const row = stats.FindAllocator(strrchr(argv[1], '/') + 1);
  REQUIRE((row != nullptr) == is_adopted);
  if (row != nullptr) {
    REQUIRE(row->state.load() == taskmem::AdoptionState::kAdopted);
    REQUIRE(strcmp(row->allocator, "mimalloc") == 0 && strcmp(row->functions, "mi_*") == 0);
  }
}
