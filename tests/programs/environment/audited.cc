// Holds memory in a way that an audit must find: audited HOW [...]. Ends holding it.
//
//   raw            100 MiB by a system call that nobody sees, beside 10 MiB by mmap
//   leak BYTES     50 MiB in blocks of that size, through three functions, by a thread that
//                  never registered; among 5 GiB of short-lived blocks of others where small
//   moved          20 MiB through three functions, which grow to 60 MiB at other addresses
//   stacks         8 threads with 256 KiB of stack in use
//   retained       a task ends and leaves 8 MiB behind
//   generated [NAME]  20 MiB through a function of no module, which the process's file for perf
//   names arena          64 MiB in an allocator of the program's own jemalloc       64 MiB in
//   jemalloc, which is loaded behind the library itself FILE    20 MiB like a leak, and an audit of
//   its own while a thread allocates cached         3 cached blocks of 8 MiB mapped         a task
//   maps 50 MiB, by three functions, and unmaps 10 MiB in the middle; so
//                  does a thread with 20 MiB in pieces of 64 KiB
//   beside         16 mappings of 768 KiB by three functions, one beside the other, one of which
//                  grows to the double
//   waits          some of all that, for ever
#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/programs/support/blocks.h"
#include "tests/programs/support/tasks.h"

#define NOINLINE __attribute__((noinline))

namespace {

void* volatile g_kept[1 << 20];
size_t g_kept_count = 0;

}  // namespace

// With names that a symboliser finds in the table of symbols.
NOINLINE void* LeakThird(size_t bytes) {
  void* block = malloc(bytes);
  REQUIRE(block != nullptr);
  memset(block, 1, bytes);
  return block;
}
NOINLINE void* LeakSecond(size_t bytes) {
  void* block = LeakThird(bytes);
  __asm__ volatile("" ::: "memory");
  return block;
}
NOINLINE void* LeakFirst(size_t bytes) {
  void* block = LeakSecond(bytes);
  __asm__ volatile("" ::: "memory");
  return block;
}

// An allocator of its own: pieces of regions that it maps.
NOINLINE void* ArenaMapRegion(size_t bytes) {
  void* region = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  REQUIRE(region != MAP_FAILED);
  return region;
}
NOINLINE void* ArenaAllocate(size_t bytes) {
  constexpr size_t kRegionBytes = 8 << 20;
  static char* next = nullptr;
  static size_t left = 0;
  if (left < bytes) {
    next = static_cast<char*>(ArenaMapRegion(kRegionBytes));
    left = kRegionBytes;
  }
  void* block = next;
  next += bytes;
  left -= bytes;
  return block;
}

NOINLINE void* MapThird(size_t bytes) {
  void* range = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(range != MAP_FAILED);
  return range;
}
NOINLINE void* MapSecond(size_t bytes) {
  void* range = MapThird(bytes);
  __asm__ volatile("" ::: "memory");
  return range;
}
NOINLINE void* MapFirst(size_t bytes) {
  void* range = MapSecond(bytes);
  __asm__ volatile("" ::: "memory");
  return range;
}

// Blocks that live for a moment, of sizes whose rhythm is not a power of two's.
NOINLINE void Churn(size_t bytes) {
  void* ring[64] = {};
  size_t at = 0;
  for (size_t used = 0; used < bytes; ++at) {
    const size_t size = 16 + at * 37 % 1000;
    free(ring[at % 64]);
    ring[at % 64] = malloc(size);
    used += size;
  }
  for (void* block : ring) free(block);
}

namespace {

void Raw() {
  constexpr size_t kBytes = 100 << 20;
  constexpr size_t kBesideBytes = 10 << 20;
  void* beside =
      mmap(nullptr, kBesideBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(beside != MAP_FAILED);
  memset(beside, 1, kBesideBytes);
  const long address = syscall(SYS_mmap, nullptr, kBytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  REQUIRE(address > 0);
  memset(reinterpret_cast<void*>(address), 1, kBytes);
}

void Leak(size_t bytes) {
  constexpr size_t kTotal = 50 << 20;
  constexpr size_t kChurned = size_t{5} << 30;
  std::thread([bytes] {
    for (size_t leaked = 0; leaked < kTotal; leaked += bytes) {
      g_kept[g_kept_count++] = LeakFirst(bytes);
      if (bytes < 1000) Churn(kChurned / (kTotal / bytes));
    }
  }).join();
}

void Moved() {
  constexpr size_t kFirst = 20 << 20;
  auto* const first = static_cast<char*>(LeakFirst(kFirst));
  // Nothing can grow over this.
  void* const behind = mmap(first + (32 << 20) - (1 << 16), 4096, PROT_NONE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  auto* const now = static_cast<char*>(realloc(first, 3 * kFirst));
  REQUIRE(now != nullptr && now != first);
  memset(now, 1, 3 * kFirst);
  g_kept[g_kept_count++] = now;
  g_kept[g_kept_count++] = behind;
}

void UseStack(std::atomic<int>* used) {
  char block[256 << 10];
  memset(block, 1, sizeof(block));
  __asm__ volatile("" : : "r"(block) : "memory");
  used->fetch_add(1);
  for (;;) pause();
}

void Stacks() {
  constexpr int kThreads = 8;
  static std::atomic<int> used{0};
  for (int i = 0; i < kThreads; ++i) std::thread(UseStack, &used).detach();
  while (used < kThreads) std::this_thread::yield();
}

void Retained() {
  Begin(kTask, TASKMEM_NO_QUOTA, "leaver");
  Attach(kTask);
  for (int i = 0; i < 8; ++i) g_kept[g_kept_count++] = LeakFirst(kMiB);
  Detach();
  End(kTask);
}

// A function at an address that belongs to no file: sets up a frame and calls its argument.
void Generated(const char* name) {
  constexpr unsigned char kCode[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
  void* page =
      mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  memcpy(page, kCode, sizeof(kCode));
  if (name != nullptr) {
    std::FILE* file = fopen(("/tmp/perf-" + std::to_string(getpid()) + ".map").c_str(), "w");
    REQUIRE(file != nullptr);
    fprintf(file, "%zx %zx %s\n", reinterpret_cast<size_t>(page), sizeof(kCode), name);
    REQUIRE(fclose(file) == 0);
  }
  reinterpret_cast<void (*)(void (*)())>(page)([] {
    for (int i = 0; i < 20; ++i) g_kept[g_kept_count++] = LeakFirst(kMiB);
  });
}

constexpr size_t kSecondBytes = 64 << 20;

void Arena() {
  constexpr size_t kBlock = 4096;
  for (size_t used = 0; used < kSecondBytes; used += kBlock) {
    memset(ArenaAllocate(kBlock), 1, kBlock);
  }
}

// By a function that only jemalloc has.
void Jemalloc() {
  auto* allocate = reinterpret_cast<void* (*)(size_t, int)>(dlsym(RTLD_DEFAULT, "mallocx"));
  REQUIRE(allocate != nullptr);
  constexpr size_t kBlock = 8 << 20;
  for (size_t used = 0; used < kSecondBytes; used += kBlock) {
    void* block = allocate(kBlock, 0);
    REQUIRE(block != nullptr);
    memset(block, 1, kBlock);
  }
}

std::atomic<int> g_child_signals{0};

// The program's own children, and what it hears of them, are none of the audit's business.
void Itself(const char* file) {
  for (int i = 0; i < 20; ++i) g_kept[g_kept_count++] = LeakFirst(kMiB);
  signal(SIGCHLD, [](int) { g_child_signals.fetch_add(1); });
  REQUIRE_COMPARE(taskmem_audit(nullptr), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_audit("/no/such/folder/audit.json"), ==, EIO);
  std::atomic<bool> is_done{false};
  std::thread other([&] {
    while (!is_done) free(malloc(100'000));
  });
  REQUIRE_COMPARE(taskmem_audit(file), ==, 0);
  is_done = true;
  other.join();
  REQUIRE_COMPARE(g_child_signals.load(), ==, 0);
  REQUIRE(waitpid(-1, nullptr, 0) == -1 && errno == ECHILD);
  setenv("TASKMEM_COMMAND", "/no/such/command", 1);
  REQUIRE_COMPARE(taskmem_audit(file), ==, ENOENT);
}

void Cached() {
  for (const char* name : {"a", "b", "c"}) REQUIRE(PutPattern(name, 8 * kMiB) == 0);
}

void Mapped() {
  Begin(kTask, TASKMEM_NO_QUOTA, "mapper");
  Attach(kTask);
  char* range = static_cast<char*>(MapFirst(50 * kMiB));
  memset(range, 1, 50 * kMiB);
  REQUIRE(munmap(range + 20 * kMiB, 10 * kMiB) == 0);
  Detach();
  std::thread([] {
    constexpr size_t kPiece = 64 << 10;
    for (size_t mapped = 0; mapped < 20 * kMiB; mapped += kPiece) {
      memset(MapThird(kPiece), 1, kPiece);
    }
  }).join();
}

void Beside() {
  constexpr size_t kBytes = 768 << 10;
  void* last = nullptr;
  for (int i = 0; i < 16; ++i) {
    last = MapFirst(kBytes);
    memset(last, 1, kBytes);
  }
  void* const grown = mremap(last, kBytes, 2 * kBytes, MREMAP_MAYMOVE);
  REQUIRE(grown != MAP_FAILED);
  memset(grown, 1, 2 * kBytes);
}

void Wait() {
  for (int i = 0; i < 8; ++i) g_kept[g_kept_count++] = LeakFirst(kMiB);
  for (int i = 0; i < 50'000; ++i) g_kept[g_kept_count++] = LeakFirst(16 + i % 2000);
  Mapped();
  std::thread([] {
    for (;;) pause();
  }).detach();
  for (;;) pause();
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc >= 2);
  const std::string how = argv[1];
  if (how == "raw") Raw();
  if (how == "leak") Leak(static_cast<size_t>(atol(argv[2])));
  if (how == "moved") Moved();
  if (how == "stacks") Stacks();
  if (how == "retained") Retained();
  if (how == "generated") Generated(argv[2]);
  if (how == "arena") Arena();
  if (how == "jemalloc") Jemalloc();
  if (how == "cached") Cached();
  if (how == "itself") Itself(argv[2]);
  if (how == "mapped") Mapped();
  if (how == "beside") Beside();
  if (how == "waits") Wait();
  return 0;
}
