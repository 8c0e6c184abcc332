// What blocks cost, as counts that are the same on every machine.
//
//   pair_costs instructions KIND MOST   instructions of a malloc and a free, single-stepped
//   pair_costs steps                    growing in steps copies nearly nothing
//   pair_costs untouched                blocks that nobody touches are not in memory
//   pair_costs addresses                the library's tables do not grow with addresses
#include <malloc.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "tests/programs/support/check.h"

namespace {

constexpr int kLive = 64;
void* volatile live[kLive];

struct Kind {
  const char* name;
  int blocks;
  uint64_t pairs;  // that are counted
  void* (*allocate)(uint64_t i);
};

void* Aligned(size_t alignment, size_t size) {
  void* block = nullptr;
  REQUIRE(posix_memalign(&block, alignment, size) == 0);
  return block;
}

constexpr Kind kKinds[] = {
    {"large", 64, 100, [](uint64_t i) { return malloc((132 << 10) + i * 3779 % 900000); }},
    {"larger", 16, 100, [](uint64_t i) { return malloc((1 << 20) + i * 3779 % 9000000); }},
    {"huge", 8, 30, [](uint64_t i) { return malloc((17 << 20) + i * 3779 % 50000000); }},
    {"calloc", 64, 1000, [](uint64_t i) { return calloc(1, 16 + i * 37 % 900); }},
    {"aligned_64", 64, 1000, [](uint64_t i) { return Aligned(64, 16 + i * 37 % 900); }},
    {"medium", 64, 500, [](uint64_t i) { return malloc(1200 + i * 37 % 9000); }},
    {"aligned_4096", 64, 500, [](uint64_t i) { return Aligned(4096, 16 + i * 37 % 9000); }},
};

void DoPairs(const Kind& kind, uint64_t begin, uint64_t end) {
  for (uint64_t i = begin; i < end; ++i) {
    const int at = static_cast<int>(i * 17 % static_cast<uint64_t>(kind.blocks));
    free(live[at]);
    live[at] = kind.allocate(i);
  }
}

constexpr uint64_t kWarmUp = 4000;

[[noreturn]] void BeTraced(const Kind& kind) {
  REQUIRE(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
  DoPairs(kind, 0, kWarmUp);
  raise(SIGSTOP);
  DoPairs(kind, kWarmUp, kWarmUp + kind.pairs);
  raise(SIGSTOP);
  _exit(0);
}

int CountInstructions(const char* name, long most) {
  for (const Kind& kind : kKinds) {
    if (strcmp(kind.name, name) != 0) continue;
    const pid_t child = fork();
    if (child == 0) BeTraced(kind);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
    long count = 0;
    for (;;) {
      REQUIRE(ptrace(PTRACE_SINGLESTEP, child, 0, 0) == 0);
      REQUIRE(waitpid(child, &status, 0) == child && WIFSTOPPED(status));
      if (WSTOPSIG(status) == SIGSTOP) break;
      REQUIRE(WSTOPSIG(status) == SIGTRAP);
      ++count;
    }
    REQUIRE(ptrace(PTRACE_KILL, child, 0, 0) == 0);
    REQUIRE(waitpid(child, &status, 0) == child);
    printf("%s: %ld instructions\n", name, count / static_cast<long>(kind.pairs));
    REQUIRE_COMPARE(count / static_cast<long>(kind.pairs), <=, most);
    return 0;
  }
  return 2;
}

// One that grows has no other in its way: it moves while it is small.
int GrowInSteps() {
  for (int round = 0; round < 3; ++round) {
    constexpr size_t kStep = 4096;
    constexpr size_t kMost = 16 << 20;
    size_t moved = 0;
    char* block = static_cast<char*>(malloc(kStep));
    for (size_t size = 2 * kStep; size <= kMost; size += kStep) {
      char* const grown = static_cast<char*>(realloc(block, size));
      REQUIRE(grown != nullptr);
      if (grown != block) moved += size - kStep;
      block = grown;
      block[size - 1] = 1;
    }
    free(block);
    printf("%zu bytes moved\n", moved);
    REQUIRE_COMPARE(moved, <=, 4 << 20);
  }
  // Two that grow side by side: in proportion to what they become.
  constexpr size_t kStep = 16384;
  constexpr size_t kMost = 8 << 20;
  size_t moved = 0;
  char* blocks[2] = {static_cast<char*>(malloc(kStep)), static_cast<char*>(malloc(kStep))};
  for (size_t size = 2 * kStep; size <= kMost; size += kStep) {
    for (char*& block : blocks) {
      char* const grown = static_cast<char*>(realloc(block, size));
      REQUIRE(grown != nullptr);
      if (grown != block) moved += size - kStep;
      block = grown;
      block[size - 1] = 1;
    }
  }
  for (char* block : blocks) free(block);
  printf("%zu bytes moved of two\n", moved);
  REQUIRE_COMPARE(moved, <=, 2 * 4 * kMost);
  return 0;
}

int LeaveUntouched() {
  // Whatever is used once.
  free(malloc(1 << 20));
  free(malloc(20 << 20));
  const uint64_t before = ResidentBytes();
  constexpr int kBlocks = 400;
  static void* blocks[kBlocks];
  for (int i = 0; i < kBlocks; ++i) blocks[i] = Hide(malloc((1 << 20) + i * 4096));
  REQUIRE_COMPARE(ResidentBytes(), <=, before + (2 << 20));
  for (void* block : blocks) free(block);
  for (int i = 0; i < 20; ++i) blocks[i] = Hide(calloc(1, 20 << 20));
  REQUIRE_COMPARE(ResidentBytes(), <=, before + (4 << 20));
  for (int i = 0; i < 20; ++i) free(blocks[i]);
  return 0;
}

int UseManyAddresses() {
  free(malloc(20 << 20));
  const uint64_t before = ResidentBytes();
  // All at once.
  void* const sparse = Hide(malloc(size_t{256} << 30));
  REQUIRE_COMPARE(ResidentBytes(), <=, before + (1 << 20));
  free(sparse);
  // One after another, of huge blocks.
  uint64_t random = 88172645463325252;
  void* huge[8] = {};
  for (int i = 0; i < 5000; ++i) {
    void*& block = huge[NextRandom(&random) % 8];
    free(block);
    block = malloc((16 << 20) + NextRandom(&random) % (48 << 20));
    *static_cast<volatile char*>(block) = 1;
  }
  for (void* block : huge) free(block);
  REQUIRE_COMPARE(ResidentBytes(), <=, before + (2 << 20));
  // And of others, whose addresses are given up.
  for (int i = 0; i < 400; ++i) {
    void* blocks[8];
    for (void*& block : blocks) block = Hide(malloc(14 << 20));
    for (void* block : blocks) free(block);
    malloc_trim(0);
  }
  REQUIRE_COMPARE(ResidentBytes(), <=, before + (4 << 20));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  if (argc > 3 && strcmp(argv[1], "instructions") == 0) {
    return CountInstructions(argv[2], atol(argv[3]));
  }
  if (strcmp(argv[1], "steps") == 0) return GrowInSteps();
  if (strcmp(argv[1], "untouched") == 0) return LeaveUntouched();
  if (strcmp(argv[1], "addresses") == 0) return UseManyAddresses();
  return 2;
}
