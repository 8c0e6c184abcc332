// unnamed LIBRARY WHY: the table of allocators has the one of the library once it has mapped
// memory, and says so of why it is kept.
#include <dlfcn.h>
#include <sys/mman.h>

#include "tests/programs/support/check.h"
#include "tests/support/stats_file.h"

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  const auto map_some = reinterpret_cast<void* (*)()>(dlsym(library, "MapSome"));
  REQUIRE(map_some != nullptr && map_some() != MAP_FAILED);
  const auto stats = taskmem::test::StatsFile::Own();
  const taskmem::AllocatorRow* const row = stats.FindAllocator(strrchr(argv[1], '/') + 1);
  REQUIRE(row != nullptr && row->state.load() == taskmem::AdoptionState::kKept);
  REQUIRE(strcmp(row->allocator, "jemalloc") == 0 && strcmp(row->how, argv[2]) == 0);
}
