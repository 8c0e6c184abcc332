// Programs that retry for ever with several requests in turn: after as many refusals as the
// budget allows (second argument), whatever was asked for, one request is let through.
#include <malloc.h>
#include <sys/mman.h>

#include <new>
#include <string>

#include "tests/programs/support/tasks.h"

namespace {

constexpr size_t kLarge = 32 * kMiB;

void* Map(size_t bytes) {
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mapping != MAP_FAILED ? mapping : nullptr;
}

void* Realloc(size_t bytes) {
  void* block = malloc(100);
  REQUIRE(block != nullptr);
  void* moved = realloc(block, bytes);
  if (moved == nullptr) free(block);
  return moved;
}

// The request number `i` of a program of this kind.
void* Ask(const std::string& kind, uint64_t i) {
  if (kind == "mmap_malloc") return i % 2 == 0 ? Map(kLarge) : malloc(kLarge + 4096);
  if (kind == "same_size") return i % 2 == 0 ? Map(kLarge) : malloc(kLarge);
  if (kind == "two_sizes") return malloc(i % 2 == 0 ? kLarge : 2 * kLarge);
  if (kind == "falling") return malloc(100 * kLarge - i % 1000 * 65536);
  if (kind == "rising") return malloc(kLarge + i * 4096);
  if (kind == "halving") return malloc((64 * kLarge) >> i % 7);
  if (kind == "with_small") {
    void* small = malloc(300'000);
    REQUIRE(small != nullptr);
    free(small);
    free(malloc(16));
    void* mapping = Map(kMiB);
    REQUIRE(mapping != nullptr);
    munmap(mapping, kMiB);
    return malloc(kLarge);
  }
  switch (i % 6) {
    case 0: return malloc(kLarge);
    case 1: return calloc(2, kLarge);
    case 2: return Realloc(3 * kLarge);
    case 3: return memalign(4096, kLarge + 1);
    case 4: return ::operator new(kLarge + 2, std::nothrow);
    default: return Map(kLarge);
  }
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  const std::string kind = argv[1];
  const uint64_t budget = strtoull(argv[2], nullptr, 10);
  Begin(kTask, 24 * kMiB, "stubborn");
  Attach(kTask);
  // Beyond its quota a task has no room for the small ones.
  const uint64_t rounds = kind == "with_small" ? 1 : 2;
  for (uint64_t round = 0; round < rounds; ++round) {
    uint64_t refusals = 0;
    while (Ask(kind, refusals) == nullptr) REQUIRE_COMPARE(++refusals, <=, budget);
    REQUIRE_COMPARE(refusals, ==, budget);
  }
  REQUIRE_COMPARE(Usage(kTask).refusals, ==, rounds * budget);
  RequireBooksMatchPages();
}
