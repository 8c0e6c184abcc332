// A task fills its quota, frees all of it, and can take 95 % of it again in other
// size classes: memory that is free is never a reason to refuse. One thread
// fills; the argument says who frees and who takes again:
//   same      that thread frees, main takes
//   other     main frees, that thread takes
//   parked    main does both, after that thread ended
//   sleeping  main does both, while that thread sleeps in a system call
#include <sys/syscall.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/tasks.h"

namespace {

constexpr uint64_t kQuota = 64 * kMiB;

std::vector<void*> g_blocks;
std::atomic<bool> g_filled{false};
std::atomic<bool> g_freed{false};
std::atomic<int> g_tid{0};
int g_pipe[2];

void Fill() {
  void* block;
  while ((block = malloc(1000)) != nullptr) g_blocks.push_back(block);
  REQUIRE_COMPARE(Charged(kTask), >=, kQuota / 100 * 97);
}

void FreeAll() {
  for (void* block : g_blocks) free(block);
  g_blocks.clear();
}

// Blocks whose sizes are size classes, so that hardly anything is lost in them.
void TakeAgain() {
  for (size_t size : {32768, 64, 3072, 512}) {
    for (uint64_t taken = 0; taken + size <= kQuota / 100 * 95; taken += size) {
      void* block = malloc(size);
      if (block == nullptr) REQUIRE_COMPARE(taken, ==, kQuota / 100 * 95);
      g_blocks.push_back(block);
    }
    FreeAll();
  }
  REQUIRE_COMPARE(Usage(kTask).refusals, ==, 1);  // the one that ended Fill
}

void Work(const char* how) {
  Attach(kTask);
  Fill();
  if (strcmp(how, "same") == 0) FreeAll();
  g_tid.store(static_cast<int>(syscall(SYS_gettid)));
  g_filled.store(true);
  if (strcmp(how, "sleeping") == 0) {
    char byte;
    REQUIRE(read(g_pipe[0], &byte, 1) == 1);
    // The heap it wakes up with is whole.
    for (size_t size = 16; size < 100000; size *= 2) free(malloc(size));
  } else if (strcmp(how, "other") == 0) {
    while (!g_freed.load()) std::this_thread::yield();
    TakeAgain();
  }
}

void AwaitSleep() {
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/task/%d/stat", g_tid.load());
  char state = 0;
  while (state != 'S') {
    FILE* stat = fopen(path, "r");
    REQUIRE(stat != nullptr && fscanf(stat, "%*d %*s %c", &state) == 1);
    fclose(stat);
  }
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  Detach();
  g_blocks.reserve(10 * kMiB);
  REQUIRE(pipe(g_pipe) == 0);
  Begin(kTask, kQuota);
  std::thread worker(Work, argv[1]);
  while (!g_filled.load()) std::this_thread::yield();
  if (strcmp(argv[1], "parked") == 0) worker.join();
  if (strcmp(argv[1], "sleeping") == 0) AwaitSleep();
  FreeAll();
  g_freed.store(true);
  if (strcmp(argv[1], "other") != 0) {
    Attach(kTask);
    TakeAgain();
    Detach();
  }
  REQUIRE(write(g_pipe[1], "x", 1) == 1);
  if (worker.joinable()) worker.join();
}
