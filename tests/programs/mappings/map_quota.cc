// Mapped memory is charged to the task that maps it, by the rules for its kind, and refused
// where its quota does not allow it. With TASKMEM_REFUSAL_BUDGET=20.
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "tests/programs/support/mappings.h"

namespace {

constexpr uint64_t kQuota = 64 * kMiB;
constexpr uint64_t kOther = kTask + 1;
uint64_t g_base = 0;  // charged while nothing is mapped

// What is charged for mappings, to a whole 64 KiB: the rest is what malloc holds.
uint64_t MappedAsOfLastLook(uint64_t task = kTask) {
  constexpr uint64_t kUnit = 64 * 1024;
  return (Charged(task) - (task == kTask ? g_base : 0) + kUnit / 2) / kUnit * kUnit;
}

uint64_t Mapped(uint64_t task = kTask) {
  taskmem_sample_residency();
  return MappedAsOfLastLook(task);
}

#define REQUIRE_REFUSED(call, failure)  \
  do {                                  \
    errno = 0;                          \
    REQUIRE((call) == (failure));       \
    REQUIRE_COMPARE(errno, ==, ENOMEM); \
    RequireBooksMatchPages();           \
  } while (0)

#define REQUIRE_MAPPED(bytes)             \
  do {                                    \
    REQUIRE_COMPARE(Mapped(), ==, bytes); \
    RequireBooksMatchPages();             \
  } while (0)

void* Take(uint64_t bytes, int protection = PROT_READ | PROT_WRITE, int flags = 0,
           void* at = nullptr) {
  errno = 0;
  void* const got = Anonymous(bytes, protection, flags, at);
  REQUIRE(got != MAP_FAILED && errno == 0);
  return got;
}

void Give(void* at, uint64_t bytes) { REQUIRE(munmap(at, bytes) == 0); }

void PrivateByLength() {
  void* const first = Take(40 * kMiB);
  REQUIRE_MAPPED(40 * kMiB);
  REQUIRE_COMPARE(OwnerOf(first), ==, kTask);
  const uint64_t refusals = Usage(kTask).refusals;
  REQUIRE_REFUSED(Anonymous(40 * kMiB), MAP_FAILED);
  REQUIRE_COMPARE(Usage(kTask).refusals, ==, refusals + 1);
  REQUIRE_MAPPED(40 * kMiB);
  // A part of it goes, and comes back.
  Give(static_cast<char*>(first) + 10 * kMiB, 20 * kMiB);
  REQUIRE_MAPPED(20 * kMiB);
  void* const second = Take(40 * kMiB);
  REQUIRE_MAPPED(60 * kMiB);
  // Over one's own memory only the difference is charged.
  REQUIRE(Anonymous(40 * kMiB, PROT_READ | PROT_WRITE, MAP_FIXED, second) == second);
  REQUIRE_MAPPED(60 * kMiB);
  // What is small overdraws.
  void* const third = Take(3 * kMiB);
  void* const small = Take(128 * 1024);
  Give(third, 3 * kMiB);
  Give(small, 128 * 1024);
  Give(second, 40 * kMiB);
  Give(first, 40 * kMiB);
  REQUIRE_MAPPED(0);
}

void Reservations() {
  constexpr uint64_t kReserved = uint64_t{200} << 30;
  char* const reserved = static_cast<char*>(Take(kReserved, PROT_NONE, MAP_NORESERVE));
  char* const plain = static_cast<char*>(Take(uint64_t{1} << 30, PROT_NONE));
  REQUIRE_MAPPED(0);
  // Commit by mprotect, and by a mapping over it.
  REQUIRE(mprotect(plain, 30 * kMiB, PROT_READ | PROT_WRITE) == 0);
  REQUIRE_MAPPED(30 * kMiB);
  REQUIRE(mprotect(plain + 10 * kMiB, 30 * kMiB, PROT_READ | PROT_WRITE) == 0);
  REQUIRE_MAPPED(40 * kMiB);
  REQUIRE_REFUSED(mprotect(plain, 100 * kMiB, PROT_READ | PROT_WRITE), -1);
  REQUIRE_MAPPED(40 * kMiB);
  REQUIRE(mprotect(plain, 40 * kMiB, PROT_NONE) == 0);
  REQUIRE_MAPPED(40 * kMiB);
  Take(uint64_t{1} << 30, PROT_NONE, MAP_FIXED | MAP_NORESERVE, plain);
  REQUIRE_MAPPED(0);
  Take(20 * kMiB, PROT_READ | PROT_WRITE, MAP_FIXED, reserved + kMiB);
  REQUIRE_MAPPED(20 * kMiB);
  // Without a reservation, by what is in memory.
  REQUIRE(mprotect(reserved + 100 * kMiB, 1000 * kMiB, PROT_READ | PROT_WRITE) == 0);
  REQUIRE_MAPPED(20 * kMiB);
  Touch(reserved + 100 * kMiB, 5 * kMiB);
  REQUIRE_MAPPED(25 * kMiB);
  Give(reserved, kReserved);
  Give(plain, uint64_t{1} << 30);
  REQUIRE_MAPPED(0);
}

void SparseAtTheQuota() {
  // Map and touch: it ends soon after the quota is reached, though nothing is charged when
  // it is mapped.
  constexpr uint64_t kChunk = 4 * kMiB;
  static void* chunks[64];
  int count = 0;
  for (; count < 64; ++count) {
    chunks[count] = Anonymous(kChunk, PROT_READ | PROT_WRITE, MAP_NORESERVE);
    if (chunks[count] == MAP_FAILED) break;
    Touch(chunks[count], kChunk);
  }
  REQUIRE_COMPARE(errno, ==, ENOMEM);
  REQUIRE_COMPARE(count, >=, 15);
  REQUIRE_COMPARE(count, <=, 24);
  errno = 0;
  while (count > 0) Give(chunks[--count], kChunk);
  REQUIRE_MAPPED(0);
  Give(Take(kChunk, PROT_READ | PROT_WRITE, MAP_NORESERVE), kChunk);
}

void Returned() {
  char* const all = static_cast<char*>(Take(40 * kMiB));
  Touch(all, 40 * kMiB);
  REQUIRE(madvise(all, 30 * kMiB, MADV_DONTNEED) == 0);
  REQUIRE_MAPPED(10 * kMiB);
  void* const more = Take(50 * kMiB);
  Give(more, 50 * kMiB);
  Touch(all, kMiB);
  REQUIRE_MAPPED(11 * kMiB);
  // Freed lazily: in memory until somebody needs it.
  REQUIRE(madvise(all + 30 * kMiB, 10 * kMiB, MADV_FREE) == 0);
  REQUIRE_COMPARE(MappedAsOfLastLook(), ==, 11 * kMiB);
  REQUIRE_MAPPED(11 * kMiB);
  REQUIRE(madvise(all + 30 * kMiB, 10 * kMiB, MADV_DONTNEED) == 0);
  REQUIRE_MAPPED(kMiB);
  Give(all, 40 * kMiB);
  REQUIRE_MAPPED(0);
}

void Shared() {
  void* const anonymous =
      mmap(nullptr, 100 * kMiB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(anonymous != MAP_FAILED);
  Touch(anonymous, 3 * kMiB);
  REQUIRE_MAPPED(3 * kMiB);
  const int memory = memfd_create("heap", 0);
  REQUIRE(ftruncate(memory, 100 * static_cast<off_t>(kMiB)) == 0);
  void* const heap = mmap(nullptr, 100 * kMiB, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  REQUIRE(heap != MAP_FAILED);
  Touch(heap, 2 * kMiB);
  REQUIRE_MAPPED(5 * kMiB);
  // A file is shown and not charged, but for what is written to in private.
  char name[] = "/tmp/taskmem-map-XXXXXX";
  const int file = mkstemp(name);
  REQUIRE(file >= 0 && unlink(name) == 0 && ftruncate(file, 8 * static_cast<off_t>(kMiB)) == 0);
  void* const shown = mmap(nullptr, 8 * kMiB, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  Touch(shown, 8 * kMiB);
  void* const read = mmap(nullptr, 8 * kMiB, PROT_READ, MAP_PRIVATE, file, 0);
  REQUIRE_MAPPED(5 * kMiB);
  void* const copied = mmap(nullptr, 8 * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  for (uint64_t at = 0; at < 8 * kMiB; at += kPage) {
    REQUIRE(static_cast<const volatile char*>(copied)[at] <= 1);
  }
  REQUIRE_MAPPED(5 * kMiB);
  Touch(copied, 3 * kMiB);
  REQUIRE_MAPPED(8 * kMiB);
  // /dev/zero is no file.
  const int zero = open("/dev/zero", O_RDWR);
  void* const zeroes = mmap(nullptr, 2 * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
  REQUIRE(zero >= 0 && zeroes != MAP_FAILED);
  REQUIRE_MAPPED(10 * kMiB);
  Give(zeroes, 2 * kMiB);
  close(zero);
  const int id = shmget(IPC_PRIVATE, 4 * kMiB, 0600);
  void* const segment = shmat(id, nullptr, 0);
  REQUIRE(segment != MAP_FAILED);
  shmctl(id, IPC_RMID, nullptr);
  Touch(segment, kMiB);
  REQUIRE_MAPPED(9 * kMiB);
  // A child has what it inherits, but not what it shares.
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    REQUIRE_MAPPED(3 * kMiB);
    Give(copied, 8 * kMiB);
    Give(anonymous, 100 * kMiB);
    REQUIRE_MAPPED(0);
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child && status == 0);
  REQUIRE_MAPPED(9 * kMiB);
  REQUIRE(shmdt(segment) == 0);
  Give(copied, 8 * kMiB);
  Give(read, 8 * kMiB);
  Give(shown, 8 * kMiB);
  Give(heap, 100 * kMiB);
  Give(anonymous, 100 * kMiB);
  close(memory);
  close(file);
  REQUIRE_MAPPED(0);
}

void Moves() {
  char* const first = static_cast<char*>(Take(30 * kMiB));
  REQUIRE_REFUSED(mremap(first, 30 * kMiB, 80 * kMiB, MREMAP_MAYMOVE), MAP_FAILED);
  REQUIRE_MAPPED(30 * kMiB);
  void* const grown = mremap(first, 30 * kMiB, 50 * kMiB, MREMAP_MAYMOVE);
  REQUIRE(grown != MAP_FAILED);
  REQUIRE_MAPPED(50 * kMiB);
  REQUIRE(mremap(grown, 50 * kMiB, 10 * kMiB, 0) == grown);
  REQUIRE_MAPPED(10 * kMiB);
  Give(grown, 10 * kMiB);
  REQUIRE_MAPPED(0);
}

void Break() {
  void* const before = sbrk(0);
  REQUIRE(sbrk(30 * kMiB) == before);
  const uint64_t part = reinterpret_cast<uint64_t>(before) % kPage == 0 ? 0 : kPage;
  REQUIRE_COMPARE(Mapped(), >=, 30 * kMiB - part);
  REQUIRE_REFUSED(sbrk(60 * kMiB), reinterpret_cast<void*>(-1));
  REQUIRE_REFUSED(brk(static_cast<char*>(before) + 100 * kMiB), -1);
  REQUIRE(brk(before) == 0);
  REQUIRE_MAPPED(0);
}

void* GiveFirst(void* at) {
  Attach(kOther);
  Give(at, 10 * kMiB);
  return nullptr;
}

void Owners() {
  Begin(kOther, kQuota);
  void* const all = Take(30 * kMiB);
  // Another task's thread unmaps: the owner is credited.
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, GiveFirst, all) == 0);
  pthread_join(thread, nullptr);
  REQUIRE_MAPPED(20 * kMiB);
  REQUIRE_COMPARE(Mapped(kOther), <, kMiB);
  // Another task maps over it.
  Attach(kOther);
  void* const middle = static_cast<char*>(all) + 20 * kMiB;
  Take(5 * kMiB, PROT_READ | PROT_WRITE, MAP_FIXED, middle);
  REQUIRE_COMPARE(OwnerOf(middle), ==, kOther);
  REQUIRE_COMPARE(Mapped(kOther), >=, 5 * kMiB);
  Attach(kTask);
  REQUIRE_MAPPED(15 * kMiB);
  // What an ended task leaves stays charged to it until it is unmapped.
  taskmem_usage left;
  REQUIRE(taskmem_task_end(kOther, &left) == 0);
  REQUIRE_COMPARE(left.charged_bytes, >=, 5 * kMiB);
  Give(all, 30 * kMiB);
  REQUIRE_MAPPED(0);
}

void Budget() {
  void* const most = Take(60 * kMiB);
  int refused = 0;
  void* late = MAP_FAILED;
  while (late == MAP_FAILED && refused < 100) {
    late = Anonymous(20 * kMiB);
    if (late == MAP_FAILED) ++refused;
  }
  REQUIRE_COMPARE(refused, ==, 20);
  REQUIRE_COMPARE(Usage(kTask).overdraft_bytes, >, 0);
  Give(late, 20 * kMiB);
  Give(most, 60 * kMiB);
  errno = 0;
  REQUIRE_MAPPED(0);
}

}  // namespace

int main() {
  Begin(kTask, kQuota);
  Attach(kTask);
  free(Hide(malloc(100)));
  g_base = Charged(kTask);
  PrivateByLength();
  Reservations();
  SparseAtTheQuota();
  Returned();
  Shared();
  Moves();
  Break();
  Owners();
  Budget();
}
