// What is charged by residency is looked at in time, and once. With
// TASKMEM_RESIDENCY_INTERVAL=10ms. Arguments: whether there are threads (0, 1).
#include <dirent.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <time.h>

#include "tests/programs/support/mappings.h"

namespace {

constexpr uint64_t kBytes = 16 * kMiB;

int CountThreads() {
  DIR* const directory = opendir("/proc/self/task");
  REQUIRE(directory != nullptr);
  int count = 0;
  while (const dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

void Pause() {
  const timespec time = {0, 1'000'000};
  nanosleep(&time, nullptr);
}

// Without a call that maps: what the library does, it does by itself.
void AwaitCharge(uint64_t at_least, uint64_t below) {
  uint64_t charged = 0;
  for (int i = 0; i < 60'000; ++i) {
    charged = Charged(kTask);
    if (charged >= at_least && charged < below) return;
    Pause();
  }
  REQUIRE_COMPARE(charged, ==, at_least);
}

void AwaitThreads(int count) {
  for (int i = 0; i < 60'000 && CountThreads() != count; ++i) Pause();
  REQUIRE_COMPARE(CountThreads(), ==, count);
}

uint64_t Looked() {
  taskmem_sample_residency();
  return Charged(kTask);
}

pthread_mutex_t g_hold = PTHREAD_MUTEX_INITIALIZER;

void* WaitForIt(void*) {
  pthread_mutex_lock(&g_hold);
  pthread_mutex_unlock(&g_hold);
  return nullptr;
}

// It maps once, and then only touches.
void GrowsByItself() {
  pthread_mutex_lock(&g_hold);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, WaitForIt, nullptr) == 0);
  REQUIRE_COMPARE(CountThreads(), ==, 2);
  char* const heap =
      static_cast<char*>(Anonymous(4 * kBytes, PROT_READ | PROT_WRITE, MAP_NORESERVE));
  REQUIRE(heap != MAP_FAILED);
  AwaitThreads(3);
  const uint64_t before = Charged(kTask);
  for (int i = 1; i <= 4; ++i) {
    Touch(heap + static_cast<uint64_t>(i - 1) * kBytes, kBytes);
    const uint64_t now = before + static_cast<uint64_t>(i) * kBytes;
    AwaitCharge(now, now + kBytes / 2);
  }
  REQUIRE(munmap(heap, 4 * kBytes) == 0);
  // Nothing is left to look at.
  AwaitThreads(2);
  AwaitCharge(0, before + kBytes / 2);
  REQUIRE(Anonymous(kBytes, PROT_READ | PROT_WRITE, MAP_NORESERVE) != MAP_FAILED);
  for (int i = 0; i < 200; ++i) {
    void* const more = Anonymous(kBytes, PROT_READ | PROT_WRITE, MAP_NORESERVE);
    REQUIRE(munmap(more, kBytes) == 0);
  }
  AwaitThreads(3);
  pthread_mutex_unlock(&g_hold);
  pthread_join(thread, nullptr);
  AwaitThreads(1);
}

// It has no threads, and gets none.
void StaysAlone() {
  const uint64_t before = Charged(kTask);
  char* const heap = static_cast<char*>(Anonymous(kBytes, PROT_READ | PROT_WRITE, MAP_NORESERVE));
  REQUIRE(heap != MAP_FAILED);
  Touch(heap, kBytes);
  // Allocations look now and then.
  void* blocks = nullptr;
  for (int i = 0; i < 60'000 && Charged(kTask) < before + kBytes; ++i) {
    for (int j = 0; j < 100; ++j) {
      void** const block = static_cast<void**>(malloc(2000));
      REQUIRE(block != nullptr);
      *block = blocks;
      blocks = block;
    }
  }
  REQUIRE_COMPARE(Charged(kTask), >=, before + kBytes);
  REQUIRE_COMPARE(CountThreads(), ==, 1);
  while (blocks != nullptr) {
    void* const next = *static_cast<void**>(blocks);
    free(blocks);
    blocks = next;
  }
  REQUIRE(munmap(heap, kBytes) == 0);
}

// One memory file at three places, in parts that overlap, is in memory once.
void SharedOnce() {
  const uint64_t before = Looked();
  const int fd = memfd_create("heap", 0);
  REQUIRE(fd >= 0 && ftruncate(fd, static_cast<off_t>(kBytes)) == 0);
  char* views[3];
  for (char*& view : views) {
    view = static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    REQUIRE(view != MAP_FAILED);
  }
  Touch(views[0], kBytes);
  Touch(views[2], kBytes);
  REQUIRE_COMPARE(Looked() - before, <, kBytes + kMiB);
  REQUIRE_COMPARE(Looked() - before, >=, kBytes);
  // Two halves, one of them twice.
  REQUIRE(munmap(views[1], kBytes) == 0);
  REQUIRE(munmap(views[0] + kBytes / 2, kBytes / 2) == 0);
  REQUIRE(munmap(views[2] + kBytes / 4, kBytes * 3 / 4) == 0);
  REQUIRE_COMPARE(Looked() - before, <, kBytes / 2 + kMiB);
  REQUIRE_COMPARE(Looked() - before, >=, kBytes / 2);
  // Another is another.
  char* const shared = static_cast<char*>(
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  REQUIRE(shared != MAP_FAILED);
  Touch(shared, kBytes);
  REQUIRE_COMPARE(Looked() - before, >=, kBytes * 3 / 2);
  const int id = shmget(IPC_PRIVATE, kBytes, IPC_CREAT | 0600);
  REQUIRE(id >= 0);
  char* const first = static_cast<char*>(shmat(id, nullptr, 0));
  char* const second = static_cast<char*>(shmat(id, nullptr, 0));
  REQUIRE(shmctl(id, IPC_RMID, nullptr) == 0);
  Touch(first, kBytes);
  Touch(second, kBytes);
  REQUIRE_COMPARE(Looked() - before, >=, kBytes * 5 / 2);
  REQUIRE_COMPARE(Looked() - before, <, kBytes * 5 / 2 + kMiB);
  REQUIRE(shmdt(first) == 0 && shmdt(second) == 0);
  REQUIRE(munmap(shared, kBytes) == 0);
  REQUIRE(munmap(views[0], kBytes / 2) == 0 && munmap(views[2], kBytes / 4) == 0);
  close(fd);
  REQUIRE_COMPARE(Looked() - before, <, kMiB);
}

// A range that grows down is followed.
void GrowsDown() {
  char* const room = static_cast<char*>(Anonymous(4 * kBytes, PROT_NONE));
  REQUIRE(room != MAP_FAILED && munmap(room, 4 * kBytes) == 0);
  const uint64_t before = Looked();
  char* const top = room + 3 * kBytes;
  REQUIRE(Anonymous(16 * kPage, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_GROWSDOWN, top) == top);
  uint64_t grown = 0;
  for (char* at = top; grown < kMiB; at -= kPage, grown += kPage) *at = 1;
  REQUIRE_COMPARE(Looked() - before, >=, kMiB);
  REQUIRE_COMPARE(OwnerOf(top - kMiB / 2), ==, kTask);
  RequireMapMatchesKernel(top - 2 * kMiB, 3 * kMiB);
  REQUIRE(munmap(top - kMiB, kMiB + 16 * kPage) == 0);
  REQUIRE_COMPARE(Looked() - before, <, kMiB / 2);
  RequireMapMatchesKernel(top - 2 * kMiB, 3 * kMiB);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc == 2);
  Begin(kTask);
  Attach(kTask);
  if (atoi(argv[1]) != 0) {
    GrowsByItself();
    return 0;
  }
  StaysAlone();
  SharedOnce();
  GrowsDown();
  RequireBooksMatchPages();
  REQUIRE_COMPARE(CountThreads(), ==, 1);
}
