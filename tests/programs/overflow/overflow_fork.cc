// A forked child has its own copy of what lies in the overflow file, in a file too, and its parent
// keeps its own; so have the child's child, and children of other threads.
//   argv[1]: alone, threads, closed (every descriptor is closed before)
#include <pthread.h>
#include <sys/wait.h>

#include <atomic>

#include "tests/programs/support/overflow.h"

namespace {

constexpr uint64_t kQuota = 32 * kMiB;
constexpr size_t kLarge = 12;
constexpr size_t kSmall = 100'000;

Filled large[kLarge];
Filled small[kSmall];

void TakeAll() {
  for (size_t i = 0; i < kLarge; ++i) large[i] = Take(8 * kMiB, i);
  for (size_t i = 0; i < kSmall; ++i) small[i] = Take(64 + i % 512 / 8 * 8, i);
}

// Of the large blocks those that are beyond the quota at least.
void RequireInFile() {
  size_t in_file = 0;
  FILE* const maps = fopen("/proc/self/maps", "r");
  REQUIRE(maps != nullptr);
  char line[512];
  while (fgets(line, sizeof(line), maps) != nullptr) {
    uintptr_t start;
    uintptr_t end;
    char shared;
    if (sscanf(line, "%lx-%lx %*2c%*c%c", &start, &end, &shared) != 3 || shared != 's') continue;
    for (const Filled& block : large) {
      const auto address = reinterpret_cast<uintptr_t>(block.words);
      in_file += address >= start && address < end;
    }
  }
  fclose(maps);
  REQUIRE_COMPARE(in_file, >=, kLarge - kQuota / large[0].bytes);
}

void CheckAll() {
  for (const Filled& block : large) REQUIRE(block.IsIntact());
  for (const Filled& block : small) REQUIRE(block.IsIntact());
}

void ChangeAll(uint64_t by) {
  for (Filled& block : large) {
    block.seed += by;
    block.Fill();
  }
  for (Filled& block : small) {
    block.seed += by;
    block.Fill();
  }
}

void Await(pid_t child) {
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  REQUIRE_COMPARE(WEXITSTATUS(status), ==, 0);
}

// Says when the other side has changed its memory, and waits for that.
struct Signal {
  int ends[2];
  Signal() { REQUIRE(pipe(ends) == 0); }
  void Give() const { REQUIRE(write(ends[1], "", 1) == 1); }
  void Take() const {
    char byte;
    REQUIRE(read(ends[0], &byte, 1) == 1);
  }
};

void Child(int depth) {
  RequireInFile();
  CheckAll();
  RequireBooksMatchPages();
  ChangeAll(1000);
  // More of it, in the child's own file; and some of the parent's given back.
  const Filled more = Take(16 * kMiB, 77);
  for (size_t i = 0; i < kSmall; i += 2) {
    free(small[i].words);
    small[i] = ::Take(64 + i % 512 / 8 * 8, i);
  }
  free(large[0].words);
  large[0] = ::Take(8 * kMiB, 3);
  CheckAll();
  REQUIRE(more.IsIntact());
  RequireBooksMatchPages();
  if (depth == 0) return;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    Child(depth - 1);
    _exit(0);
  }
  ChangeAll(5);
  Await(child);
  CheckAll();
}

std::atomic<bool> stop{false};

void* Work(void*) {
  uint64_t random = 9;
  Attach(kTask + 1);
  while (!stop.load()) {
    Filled block = Take(16 + NextRandom(&random) % 100'000 / 8 * 8, random);
    REQUIRE(block.IsIntact());
    free(block.words);
  }
  return nullptr;
}

}  // namespace

int main(int, char** argv) {
  const bool with_threads = strcmp(argv[1], "threads") == 0;
  Begin(kTask, kQuota);
  Begin(kTask + 1, 4 * kMiB);
  Attach(kTask);
  TakeAll();
  RequireInFile();
  if (strcmp(argv[1], "closed") == 0) {
    for (int fd = 3; fd < 4096; ++fd) close(fd);
  }
  pthread_t thread;
  if (with_threads) REQUIRE(pthread_create(&thread, nullptr, Work, nullptr) == 0);
  for (int round = 0; round < 2; ++round) {
    const Signal parent_changed;
    const Signal child_changed;
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      if (with_threads) {
        // The books count what the other thread was amid.
        parent_changed.Take();
        RequireInFile();
        CheckAll();
        ChangeAll(1000);
        child_changed.Give();
        _exit(0);
      }
      parent_changed.Take();
      Child(1);
      child_changed.Give();
      _exit(0);
    }
    ChangeAll(7);
    parent_changed.Give();
    child_changed.Take();
    CheckAll();
    Await(child);
  }
  // These do not copy: they run another program at once.
  if (strcmp(argv[1], "alone") == 0) REQUIRE(system("true") == 0);
  CheckAll();
  stop.store(true);
  if (with_threads) REQUIRE(pthread_join(thread, nullptr) == 0);
  RequireBooksMatchPages();
  return 0;
}
