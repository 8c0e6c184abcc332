// requests_come HOW: a process that others ask to change something. It says "ready" and goes on
// until it is killed, or a minute.
//
//   allocates   task 7, quota 64 MiB, holds 20 MiB, on a thread that allocates
//   maps        the same, on a thread that only maps
//   begins      the same, on a thread that only begins and ends tasks
//   sleeps      the same, on no thread
//   spills      the same, on a thread that allocates, and a hook can free 10 MiB of it; a block is
//               cached
//   forks       as "sleeps", and a child allocates; the line has the child's id, too
#include <sys/mman.h>

#include "tests/programs/support/hooks.h"

namespace {

constexpr uint64_t kAsked = 7;

void Nap() { usleep(1000); }

[[noreturn]] void Allocate() {
  for (;;) {
    free(Hide(malloc(5 * kMiB)));
    Nap();
  }
}

}  // namespace

int main(int, char** argv) {
  const char* const how = argv[1];
  alarm(60);
  taskmem_options options = {};
  options.size = sizeof(options);
  options.quota_bytes = 64 * kMiB;
  options.name = "asked";
  REQUIRE_COMPARE(taskmem_task_begin(kAsked, &options), ==, 0);
  REQUIRE_COMPARE(taskmem_thread_attach(kAsked, nullptr), ==, 0);
  void* const held = malloc(20 * kMiB);
  REQUIRE(held != nullptr);
  static BlockCache cache(kMiB);
  if (strcmp(how, "spills") == 0) {
    cache.Register(kAsked, "cache", TASKMEM_RECLAIMER_THREAD);
    for (int i = 0; i < 10; ++i) cache.Keep(malloc(kMiB));
    static char bytes[2 * kMiB];
    taskmem_block_options block = {};
    block.size = sizeof(block);
    block.level = TASKMEM_MEMORY_ONLY;
    block.bytes = sizeof(bytes);
    block.data = bytes;
    REQUIRE_COMPARE(taskmem_block_put("a cached block", &block), ==, 0);
  }
  pid_t child = 0;
  if (strcmp(how, "forks") == 0) {
    child = fork();
    if (child == 0) Allocate();
  }
  // Its way of saying so allocates nothing later.
  char line[32];
  const int length = snprintf(line, sizeof(line), "ready %d\n", static_cast<int>(child));
  REQUIRE_COMPARE(write(STDOUT_FILENO, line, static_cast<size_t>(length)), ==, length);
  if (strcmp(how, "sleeps") == 0 || child != 0) {
    for (;;) pause();
  }
  while (strcmp(how, "maps") == 0) {
    void* const mapped = mmap(nullptr, kMiB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(mapped != MAP_FAILED);
    munmap(mapped, kMiB);
    Nap();
  }
  while (strcmp(how, "begins") == 0) {
    REQUIRE_COMPARE(taskmem_task_begin(kAsked + 1, nullptr), ==, 0);
    REQUIRE_COMPARE(taskmem_task_end(kAsked + 1, nullptr), ==, 0);
    Nap();
  }
  Allocate();
}
