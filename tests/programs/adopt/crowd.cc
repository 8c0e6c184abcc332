// crowd LIBRARY...: libraries come and go in any order, and each is adopted whenever it comes,
// once.
#include <dlfcn.h>

#include <vector>

#include "tests/programs/adopt/engine_calls.h"
#include "tests/programs/support/check.h"
#include "tests/support/stats_file.h"

namespace {

void* Open(const char* path) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  auto* const find = reinterpret_cast<void (*)(EngineCalls*)>(dlsym(library, "FindEngine"));
  REQUIRE(find != nullptr);
  EngineCalls engine = {};
  find(&engine);
  REQUIRE(!engine.IsOwn(engine.early) && !engine.IsOwn(engine.malloc(10)));
  return library;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  std::vector<void*> libraries(static_cast<size_t>(argc - 1));
  uint64_t random = 1;
  for (int step = 0; step < 400; ++step) {
    const size_t i = NextRandom(&random) % libraries.size();
    if (libraries[i] == nullptr) {
      libraries[i] = Open(argv[i + 1]);
    } else {
      REQUIRE(dlclose(libraries[i]) == 0);
      libraries[i] = nullptr;
    }
  }
  const auto stats = taskmem::test::StatsFile::Own();
  for (int i = 1; i < argc; ++i) {
    const taskmem::AllocatorRow* const row = stats.FindAllocator(strrchr(argv[i], '/') + 1);
    // What is adopted again does not look as its file does.
    REQUIRE(row != nullptr && row->state.load() == taskmem::AdoptionState::kAdopted);
  }
}
