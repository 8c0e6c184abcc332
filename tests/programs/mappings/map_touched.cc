// A task passes its quota by what it touches of memory it had mapped before. Argument:
//   peaks   what was touched is in the peak, however it leaves memory, and is credited then
//   refuse  requests of at least --refuse-min are refused as long as it is over its quota
//   kill    it touches more and more, without any call, until the process is ended
//   threads the same, where the process has a thread
//   freed   the same, after much that is no task's was in memory and has gone
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/programs/support/mappings.h"

namespace {

constexpr uint64_t kQuota = 64 * kMiB;
constexpr uint64_t kBytes = 200 * kMiB;

void Pause(long ms) {
  const timespec time = {0, ms * 1'000'000};
  nanosleep(&time, nullptr);
}

char* Map(uint64_t bytes) {
  void* const range = Anonymous(bytes, PROT_READ | PROT_WRITE, MAP_NORESERVE);
  REQUIRE(range != MAP_FAILED);
  return static_cast<char*>(range);
}

void Unmap(char* range) { REQUIRE(munmap(range, kBytes) == 0); }
void UnmapInPieces(char* range) {
  for (uint64_t at = 0; at < kBytes; at += 256 * 1024) {
    REQUIRE(munmap(range + at, 256 * 1024) == 0);
  }
}
void Advise(char* range) {
  REQUIRE(madvise(range, kBytes, MADV_DONTNEED) == 0);
  REQUIRE(munmap(range, kBytes) == 0);
}
void Replace(char* range) {
  REQUIRE(mmap(range, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == range);
  REQUIRE(munmap(range, kBytes) == 0);
}
void Cut(char* range) {
  REQUIRE(mremap(range, kBytes, 4096, 0) == range);
  REQUIRE(munmap(range, 4096) == 0);
}
void MoveOver(char* range) {
  void* const small = Anonymous(4096, PROT_READ | PROT_WRITE, 0);
  REQUIRE(mremap(small, 4096, kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, range) == range);
  REQUIRE(munmap(range, kBytes) == 0);
}

void Peaks() {
  void (*const ways[])(char*) = {Unmap, UnmapInPieces, Advise, Replace, Cut, MoveOver};
  uint64_t id = kTask;
  for (const auto leave : ways) {
    Begin(++id);
    Attach(id);
    char* const range = Map(kBytes);
    Touch(range, kBytes);
    leave(range);
    const taskmem_usage usage = Usage(id);
    // In pieces it is looked at when an eighth has gone.
    REQUIRE_COMPARE(usage.peak_charged_bytes, >=, kBytes - kBytes / 8);
    if (leave != UnmapInPieces) REQUIRE_COMPARE(usage.charged_bytes, <, kMiB);
    taskmem_sample_residency();
    REQUIRE_COMPARE(Charged(id), <, kMiB);
    Detach();
    End(id);
  }
}

void Refuse() {
  Begin(kTask, kQuota);
  Attach(kTask);
  char* const range = Map(kBytes);
  Touch(range, kQuota + kMiB);
  // Nothing maps or allocates: who looks is the library's thread.
  for (int i = 0; i < 60'000 && Charged(kTask) <= kQuota; ++i) Pause(1);
  REQUIRE_COMPARE(Charged(kTask), >, kQuota);
  errno = 0;
  REQUIRE(malloc(kMiB) == nullptr && errno == ENOMEM);
  REQUIRE(Anonymous(kMiB, PROT_READ | PROT_WRITE, 0) == MAP_FAILED && errno == ENOMEM);
  // Smaller ones are booked.
  void* const small = malloc(64 * 1024);
  REQUIRE(small != nullptr);
  REQUIRE(munmap(range, kBytes) == 0);
  void* const block = malloc(kMiB);
  REQUIRE(block != nullptr);
  free(block);
  free(small);
  Detach();
  End(kTask);
}

// As much in memory as what is touched later, and gone again, where the library's thread has seen
// both.
void HoldAndFree() {
  constexpr uint64_t kHeld = 700 * kMiB;
  char* const held = static_cast<char*>(Anonymous(kHeld, PROT_READ | PROT_WRITE, 0));
  REQUIRE(held != MAP_FAILED);
  Touch(held, kHeld);
  Begin(kTask + 1, kQuota);
  Attach(kTask + 1);
  char* const watched = Map(2 * kMiB);
  Touch(watched, 2 * kMiB);
  for (int i = 0; i < 60'000 && Charged(kTask + 1) < 2 * kMiB; ++i) Pause(1);
  REQUIRE_COMPARE(Charged(kTask + 1), >=, 2 * kMiB);
  Detach();
  REQUIRE(munmap(held, kHeld) == 0);
}

// Ends by a signal.
void TouchOnAndOn() {
  Begin(kTask, kQuota);
  Attach(kTask);
  constexpr uint64_t kMost = 4096 * kMiB;
  char* const range = Map(kMost);
  for (uint64_t at = 0; at < kMost; at += kMiB) {
    Touch(range + at, kMiB);
    fprintf(stderr, "touched %llu MiB\n", static_cast<unsigned long long>(at / kMiB + 1));
    Pause(2);
  }
}

void* Wait(void*) {
  for (;;) Pause(100);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc == 2);
  if (strcmp(argv[1], "peaks") == 0) Peaks();
  if (strcmp(argv[1], "refuse") == 0) Refuse();
  if (strcmp(argv[1], "threads") == 0) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, nullptr, Wait, nullptr) == 0);
  }
  if (strcmp(argv[1], "freed") == 0) HoldAndFree();
  if (strcmp(argv[1], "peaks") != 0 && strcmp(argv[1], "refuse") != 0) TouchOnAndOn();
  return 0;
}
