// engine LIBRARY adopted|kept [WHY]: a library's own jemalloc hands out taskmem's blocks from its
// first call on, or none; several times, as libraries come and go. The table of allocators says so,
// with the bytes of the blocks, or why not. Built with LINKED the library is there at the
// program's start, or a part of the program; LIBRARY is a part of its name.
#include <dlfcn.h>
#include <malloc.h>

#include "tests/programs/adopt/engine_calls.h"
#include "tests/programs/support/mappings.h"
#include "tests/support/stats_file.h"

namespace {

using taskmem::test::StatsFile;

constexpr int kZero = 64;

int Aligned(int logarithm) { return logarithm; }

bool IsZero(const void* block, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    if (static_cast<const char*>(block)[i] != 0) return false;
  }
  return true;
}

void RequireTaken(const EngineCalls& engine, void* block, size_t size, size_t alignment = 8) {
  REQUIRE(block != nullptr && !engine.IsOwn(block) && IsAligned(block, alignment));
  REQUIRE_COMPARE(OwnerOf(block), ==, kTask);
  REQUIRE(engine.sallocx(block, 0) >= size);
  REQUIRE_COMPARE(engine.malloc_usable_size(block), ==, malloc_usable_size(block));
  memset(block, 0x5a, size);
}

// A large block of an alignment that grows by little is rarely moved: it is not copied each time.
void GrowAligned(const EngineCalls& engine) {
  constexpr size_t kStep = 64 * 1024;
  constexpr size_t kSmallest = 20 * kMiB;
  constexpr int kMostMoves = 40;
  void* block = engine.mallocx(kSmallest, Aligned(6));
  RequireTaken(engine, block, kSmallest, 64);
  FillPattern(block, kSmallest, 5);
  int moves = 0;
  for (size_t size = kSmallest + kStep; size <= 40 * kMiB; size += kStep) {
    void* const grown = engine.rallocx(block, size, Aligned(6) | kZero);
    REQUIRE(grown != nullptr && IsAligned(grown, 64));
    moves += grown != block;
    block = grown;
    REQUIRE(IsZero(static_cast<char*>(block) + size - kStep / 2, kStep / 2));
  }
  REQUIRE_COMPARE(moves, <=, kMostMoves);
  REQUIRE(HasPattern(block, kSmallest, 5));
  block = engine.rallocx(block, 2 * kMiB, Aligned(16));
  REQUIRE(block != nullptr && HasPattern(block, 2 * kMiB, 5));
  RequireTaken(engine, block, 2 * kMiB, 64 * 1024);
  engine.dallocx(block, Aligned(16));
}

void UseAdopted(const EngineCalls& engine) {
  REQUIRE(!engine.IsOwn(engine.early) && malloc_usable_size(engine.early) >= 1000);
  Begin(kTask, 64 * kMiB);
  Attach(kTask);
  for (const size_t size : {1, 8, 100, 5000, 300'000, 5'000'000}) {
    void* block = engine.malloc(size);
    RequireTaken(engine, block, size);
    block = engine.realloc(block, 2 * size);
    RequireTaken(engine, block, 2 * size);
    engine.free(block);
    block = engine.calloc(2, size);
    REQUIRE(IsZero(block, 2 * size));
    engine.sdallocx(block, 2 * size, 0);
    REQUIRE(engine.nallocx(size, 0) >= size);
    for (const int logarithm : {0, 3, 4, 6, 12, 16}) {
      const size_t alignment = size_t{1} << logarithm;
      block = engine.mallocx(size, Aligned(logarithm) | kZero);
      REQUIRE(IsZero(block, size));
      RequireTaken(engine, block, size, alignment);
      REQUIRE_COMPARE(engine.xallocx(block, size, 0, Aligned(logarithm)), ==,
                      malloc_usable_size(block));
      FillPattern(block, size, 3);
      block = engine.rallocx(block, 3 * size, Aligned(logarithm));
      REQUIRE(HasPattern(block, size, 3));
      RequireTaken(engine, block, 3 * size, alignment);
      engine.dallocx(block, Aligned(logarithm));
      block = nullptr;
      REQUIRE(engine.posix_memalign(&block, alignment < 8 ? 8 : alignment, size) == 0);
      RequireTaken(engine, block, size, alignment);
      engine.free(block);
    }
    block = engine.aligned_alloc(64, size);
    RequireTaken(engine, block, size, 64);
    engine.free(block);
  }
  GrowAligned(engine);
  // An ordinary block.
  free(engine.malloc(16));
  void* block = nullptr;
  REQUIRE(engine.posix_memalign(&block, 24, 100) == EINVAL && block == nullptr);
  // The quota is the blocks' as well.
  errno = 0;
  REQUIRE(engine.malloc(100 * kMiB) == nullptr && errno == ENOMEM);
  REQUIRE(engine.mallocx(100 * kMiB, kZero) == nullptr);
  engine.free(nullptr);
  Detach();
  End(kTask);
  engine.free(engine.early);
}

uint64_t ReadFigure(const EngineCalls& engine, const char* name) {
  uint64_t figure = 0;
  size_t bytes = sizeof(figure);
  REQUIRE(engine.mallctl(name, &figure, &bytes, nullptr, 0) == 0 && bytes == sizeof(figure));
  size_t mib[4];
  size_t length = 4;
  REQUIRE(engine.mallctlnametomib(name, mib, &length) == 0 && length == 2);
  uint64_t again = 0;
  REQUIRE(engine.mallctlbymib(mib, length, &again, &bytes, nullptr, 0) == 0 && again == figure);
  return figure;
}

// The row of the library counts what it has and no other has, and so does its mallctl.
void RequireCounted(const EngineCalls& engine, const char* library) {
  constexpr int64_t kUnposted = 128 * 1024;
  constexpr size_t kBytes = 10 << 20;
  const StatsFile stats = StatsFile::Own();
  REQUIRE(stats.ok());
  const taskmem::AllocatorRow* const row = stats.FindAllocator(library);
  REQUIRE(row != nullptr && row->state.load() == taskmem::AdoptionState::kAdopted);
  REQUIRE(strcmp(row->functions, "eng_*") == 0 && strcmp(row->allocator, "jemalloc") == 0);
  const int64_t before = row->live_bytes.load();
  REQUIRE_COMPARE(before, <, kUnposted);
  const uint64_t figure_before = ReadFigure(engine, "stats.allocated");
  const uint64_t taken_before = ReadFigure(engine, "thread.allocated");
  void* const others = malloc(kBytes);
  void* block = engine.malloc(kBytes);
  REQUIRE(others != nullptr && block != nullptr);
  const auto usable = static_cast<int64_t>(malloc_usable_size(block));
  REQUIRE_COMPARE(row->live_bytes.load() - before, >=, usable - kUnposted);
  REQUIRE_COMPARE(row->live_bytes.load() - before, <=, usable + kUnposted);
  REQUIRE_COMPARE(ReadFigure(engine, "stats.allocated") - figure_before, ==, usable);
  REQUIRE_COMPARE(ReadFigure(engine, "thread.allocated") - taken_before, ==, usable);
  block = engine.realloc(block, 2 * kBytes);
  REQUIRE_COMPARE(ReadFigure(engine, "stats.allocated") - figure_before, ==,
                  malloc_usable_size(block));
  engine.sdallocx(block, 2 * kBytes, 0);
  REQUIRE_COMPARE(ReadFigure(engine, "stats.allocated"), ==, figure_before);
  REQUIRE_COMPARE(row->live_bytes.load() - before, <, kUnposted);
  free(others);
  // What only sets something is taken; what nobody knows is not there; lengths are looked at.
  bool on = true;
  size_t bytes = sizeof(on);
  REQUIRE(engine.mallctl("background_thread", nullptr, nullptr, &on, bytes) == 0);
  REQUIRE(engine.mallctl("arena.0.purge", nullptr, nullptr, nullptr, 0) == 0);
  REQUIRE(engine.mallctl("no.such.name", &on, &bytes, nullptr, 0) == ENOENT);
  REQUIRE(engine.mallctl("stats.allocated", &on, &bytes, nullptr, 0) == EINVAL);
}

// Nobody but the library has changed it.
bool HasNoWritableCode() {
  FILE* const maps = fopen("/proc/self/maps", "r");
  REQUIRE(maps != nullptr);
  char line[512];
  bool has_none = true;
  while (fgets(line, sizeof(line), maps) != nullptr) {
    if (strstr(line, " rwx") != nullptr) has_none = false;
  }
  fclose(maps);
  return has_none;
}

}  // namespace

#if defined(LINKED)
extern "C" void FindEngine(EngineCalls* calls);
#endif

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
#if defined(LINKED)
  EngineCalls linked = {};
  FindEngine(&linked);
  if (strcmp(argv[2], "adopted") == 0) {
    UseAdopted(linked);
    RequireCounted(linked, argv[1]);
  } else {
    REQUIRE(linked.IsOwn(linked.early) && linked.IsOwn(linked.malloc(10)));
  }
  REQUIRE(HasNoWritableCode());
#else
  const char* const name = strrchr(argv[1], '/') + 1;
  for (int round = 0; round < 3; ++round) {
    void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    auto* const find = reinterpret_cast<void (*)(EngineCalls*)>(dlsym(library, "FindEngine"));
    REQUIRE(find != nullptr);
    EngineCalls engine = {};
    find(&engine);
    if (strcmp(argv[2], "adopted") == 0) {
      UseAdopted(engine);
      RequireCounted(engine, name);
    } else {
      REQUIRE(engine.IsOwn(engine.early) && engine.IsOwn(engine.malloc(10)));
      const StatsFile stats = StatsFile::Own();
      const taskmem::AllocatorRow* const row = stats.FindAllocator(name);
      REQUIRE(row == nullptr || row->state.load() == taskmem::AdoptionState::kKept);
      if (argc > 3) REQUIRE(row != nullptr && strstr(row->how, argv[3]) != nullptr);
    }
    REQUIRE(HasNoWritableCode());
    REQUIRE(dlclose(library) == 0);
  }
#endif
}
