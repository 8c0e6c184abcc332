// reloaded LIBRARY: a library that comes and goes all the time is adopted each time, and leaves
// nothing mapped.
#include <dlfcn.h>

#include "tests/programs/adopt/engine_calls.h"
#include "tests/programs/support/check.h"

namespace {

int CountMappings() {
  FILE* const maps = fopen("/proc/self/maps", "r");
  REQUIRE(maps != nullptr);
  int lines = 0;
  for (int c; (c = fgetc(maps)) != EOF;) lines += c == '\n';
  fclose(maps);
  return lines;
}

void LoadAndUnload(const char* path) {
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  auto* const find = reinterpret_cast<void (*)(EngineCalls*)>(dlsym(library, "FindEngine"));
  REQUIRE(find != nullptr);
  EngineCalls engine = {};
  find(&engine);
  REQUIRE(!engine.IsOwn(engine.early) && !engine.IsOwn(engine.malloc(10)));
  REQUIRE(dlclose(library) == 0);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  constexpr int kRounds = 200;
  constexpr int kMost = 50;  // that have other reasons
  LoadAndUnload(argv[1]);
  const int before = CountMappings();
  for (int i = 0; i < kRounds; ++i) LoadAndUnload(argv[1]);
  REQUIRE_COMPARE(CountMappings(), <, before + kMost);
}
