// Large blocks that are freed and come back, in a program with a thread that waits. With and
// without the library:
//   contents   what was zero is zero, and what was written is what was written
//   protected  parts of freed blocks could not be written, or not be inherited
//   forked     a child frees and takes them, too
//   limited    there are few addresses
//   locked     all memory is locked
//   replaced   the program maps a file over a part of a block, moves a part away, or unmaps it
//   signals    a handler takes and frees some, too, while zeros are taken
//   alone_in_child  a child of a program with threads has neither one nor what was freed before
//   storm      threads free and take at once, with forks between; a seed, and how often
// With it:
//   back       a block that comes back soon costs no page faults
//   blocked    also in a thread that blocks signals, once another has begun
//   decays     what nobody takes leaves memory by itself, and then the thread that saw to it
//   at_once    at once leaves what was taken for zeros, and what a fiber frees first
//   peak       it adds nothing to the most that was in memory
//   sparse     nor where more was charged
//   alone      without threads it leaves at once
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "tests/programs/support/spike.h"
#include "tests/programs/support/wait_for.h"

namespace {

constexpr size_t kMiB = 1 << 20;

sem_t g_end;

void* Wait(void*) {
  while (sem_wait(&g_end) != 0) {
  }
  return nullptr;
}

// While it lives the program has a second thread.
class WaitingThread {
 public:
  WaitingThread() {
    sem_init(&g_end, 0, 0);
    REQUIRE(pthread_create(&thread_, nullptr, Wait, nullptr) == 0);
  }
  ~WaitingThread() {
    sem_post(&g_end);
    REQUIRE(pthread_join(thread_, nullptr) == 0);
  }
  WaitingThread(const WaitingThread&) = delete;
  WaitingThread& operator=(const WaitingThread&) = delete;

 private:
  pthread_t thread_;
};

char* Take(size_t mib) {
  auto* const block = static_cast<char*>(Hide(malloc(mib * kMiB)));
  REQUIRE(block != nullptr);
  return block;
}

char* TakeFilled(size_t mib, int byte) {
  char* const block = Take(mib);
  memset(block, byte, mib * kMiB);
  return block;
}

// One byte of each page and the ends.
bool Has(const char* block, size_t bytes, int byte) {
  for (size_t i = 0; i < bytes; i += 4096) {
    if (block[i] != static_cast<char>(byte)) return false;
  }
  return block[bytes - 1] == static_cast<char>(byte);
}

long Faults() {
  struct rusage usage;
  REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
  return usage.ru_minflt;
}

void Contents() {
  for (size_t round = 0; round < 40; ++round) {
    const size_t mib = 17 + round * 7 % 50;
    char* const one = TakeFilled(mib, 1);
    char* const two = TakeFilled(2 * mib, 2);
    free(one);
    // Of what was freed, cut and extended.
    char* const small = TakeFilled(17, 3);
    char* grown = TakeFilled(mib + 9, 4);
    free(two);
    grown = static_cast<char*>(Hide(realloc(grown, (3 * mib + 1) * kMiB)));
    REQUIRE(grown != nullptr && Has(grown, (mib + 9) * kMiB, 4));
    memset(grown, 5, (3 * mib + 1) * kMiB);
    auto* const zeros = static_cast<char*>(Hide(calloc(mib, kMiB)));
    REQUIRE(zeros != nullptr && Has(zeros, mib * kMiB, 0));
    void* aligned = nullptr;
    REQUIRE(posix_memalign(&aligned, 64 * kMiB, 20 * kMiB) == 0);
    memset(aligned, 6, 20 * kMiB);
    REQUIRE(Has(small, 17 * kMiB, 3) && Has(grown, (3 * mib + 1) * kMiB, 5));
    free(small);
    free(aligned);
    free(zeros);
    free(grown);
  }
}

char* PageIn(char* block) {
  return reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(block) + 2 * 4096) &
                                 ~uintptr_t{4095});
}

void Protected() {
  for (int i = 0; i < 8; ++i) {
    char* const block = TakeFilled(40, 1);
    if (i % 2 == 0) {
      REQUIRE(mprotect(PageIn(block), 4096, PROT_READ) == 0);
    } else {
      REQUIRE(madvise(PageIn(block), 4096, MADV_DONTFORK) == 0);
    }
    free(block);
    char* const again = TakeFilled(40, 2);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) _exit(Has(again, 40 * kMiB, 2) ? 0 : 1);
    RequireChildSucceeds(child);
    free(again);
  }
}

void Forked() {
  for (int i = 0; i < 20; ++i) {
    char* const kept = TakeFilled(30, i);
    free(TakeFilled(40, 1));
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      REQUIRE(Has(kept, 30 * kMiB, i));
      for (int k = 0; k < 3; ++k) free(TakeFilled(25, k));
      free(kept);
      auto* const zeros = static_cast<char*>(Hide(calloc(40, kMiB)));
      REQUIRE(zeros != nullptr && Has(zeros, 40 * kMiB, 0));
      _exit(0);
    }
    free(TakeFilled(45, 2));
    RequireChildSucceeds(child);
    REQUIRE(Has(kept, 30 * kMiB, i));
    free(kept);
  }
}

long Threads() {
  long count = 0;
  DIR* const threads = opendir("/proc/self/task");
  REQUIRE(threads != nullptr);
  while (const dirent* entry = readdir(threads)) count += entry->d_name[0] != '.' ? 1 : 0;
  closedir(threads);
  return count;
}

// What counts for the limit.
uint64_t MappedBytes(int resource) {
  unsigned long all = 0;
  unsigned long data = 0;
  FILE* const statm = fopen("/proc/self/statm", "r");
  REQUIRE(statm != nullptr && fscanf(statm, "%lu %*u %*u %*u %*u %lu", &all, &data) == 2);
  fclose(statm);
  return uint64_t{resource == RLIMIT_AS ? all : data} * 4096;
}

// There is room for each, but not beside what was freed before it.
void LimitedBy(int resource) {
  free(TakeFilled(150, 1));
  malloc_trim(0);
  struct rlimit limit;
  REQUIRE(getrlimit(resource, &limit) == 0);
  limit.rlim_cur = MappedBytes(resource) + 300 * kMiB;
  for (int i = 0; i < 8; ++i) {
    free(TakeFilled(150, 1));
    REQUIRE(setrlimit(resource, &limit) == 0);
    void* const mapped =
        mmap(nullptr, 190 * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(mapped != MAP_FAILED);
    REQUIRE(munmap(mapped, 190 * kMiB) == 0);
    auto* const zeros = static_cast<char*>(Hide(calloc(200, kMiB)));
    REQUIRE(zeros != nullptr);
    free(zeros);
    // What the library does not see, or cannot try again.
    free(TakeFilled(150, 1));
    void* const little =
        mmap(nullptr, kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(little != MAP_FAILED);
    void* const grown = mremap(little, kMiB, 190 * kMiB, MREMAP_MAYMOVE);
    REQUIRE(grown != MAP_FAILED);
    REQUIRE(munmap(grown, 190 * kMiB) == 0);
    free(TakeFilled(150, 1));
    pthread_attr_t attributes;
    REQUIRE(pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstacksize(&attributes, 190 * kMiB) == 0);
    pthread_t thread;
    REQUIRE(pthread_create(
                &thread, &attributes, [](void* none) { return none; }, nullptr) == 0);
    REQUIRE(pthread_join(thread, nullptr) == 0);
    REQUIRE(pthread_attr_destroy(&attributes) == 0);
  }
}

void Limited() {
  struct rlimit before;
  REQUIRE(getrlimit(RLIMIT_DATA, &before) == 0);
  LimitedBy(RLIMIT_DATA);
  REQUIRE(setrlimit(RLIMIT_DATA, &before) == 0);
  LimitedBy(RLIMIT_AS);
}

// Where it may.
void Locked() {
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return;
  for (int i = 0; i < 4; ++i) {
    free(TakeFilled(40, 0xff));
    char* const part = TakeFilled(20, 0xee);
    char* const whole = TakeFilled(41, i);
    REQUIRE(Has(part, 20 * kMiB, 0xee) && Has(whole, 41 * kMiB, i));
    char* const grown = static_cast<char*>(Hide(realloc(whole, 70 * kMiB)));
    REQUIRE(grown != nullptr && Has(grown, 41 * kMiB, i));
    auto* const zeros = static_cast<char*>(Hide(calloc(30, kMiB)));
    REQUIRE(zeros != nullptr && Has(zeros, 30 * kMiB, 0));
    free(grown);
    free(part);
    free(zeros);
  }
  REQUIRE(munlockall() == 0);
}

// What such a block was does not become part of the next.
void Replaced() {
  constexpr size_t kBytes = 64 * 1024;
  FILE* const file = tmpfile();
  REQUIRE(file != nullptr && ftruncate(fileno(file), kBytes) == 0);
  for (int i = 0; i < 6; ++i) {
    char* const block = TakeFilled(40, 1);
    char* const part = PageIn(block) + (i % 2 == 0 ? 0 : 36 * kMiB);
    if (i / 2 == 0) {
      REQUIRE(mmap(part, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fileno(file), 0) ==
              part);
    } else if (i / 2 == 1) {
      REQUIRE(munmap(part, kBytes) == 0);
    } else {
      void* const moved = mremap(part, kBytes, kBytes, MREMAP_MAYMOVE);
      REQUIRE(moved == part);
      void* const target = mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      REQUIRE(mremap(part, kBytes, kBytes, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
      REQUIRE(munmap(target, kBytes) == 0);
    }
    free(block);
    free(TakeFilled(40, 2));
    char first = 0;
    REQUIRE(pread(fileno(file), &first, 1, 0) == 1);
    REQUIRE_COMPARE(static_cast<int>(first), ==, 0);
  }
  fclose(file);
}

int g_rounds = 120;
std::atomic<bool> g_is_over{false};
std::atomic<int> g_handled{0};

void TakeInHandler(int) {
  char* const block = Take(18);
  memset(block, 0xff, 4096);
  free(block);
  g_handled.fetch_add(1);
}

void* TakeZeros(void*) {
  for (int i = 0; i < 60 || g_handled.load() < 20; ++i) {
    free(TakeFilled(18, 0xff));
    auto* const zeros = static_cast<char*>(Hide(calloc(17, kMiB)));
    REQUIRE(zeros != nullptr && Has(zeros, 17 * kMiB, 0));
    free(zeros);
  }
  g_is_over.store(true);
  return nullptr;
}

void Signals() {
  struct sigaction action = {};
  action.sa_handler = TakeInHandler;
  REQUIRE(sigaction(SIGUSR1, &action, nullptr) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, TakeZeros, nullptr) == 0);
  while (!g_is_over.load()) {
    const int before = g_handled.load();
    if (pthread_kill(thread, SIGUSR1) != 0) break;
    while (g_handled.load() == before && !g_is_over.load()) sched_yield();
  }
  REQUIRE(pthread_join(thread, nullptr) == 0);
}

// Some calls work only without threads.
void AloneInChild() {
  for (int i = 0; i < 5; ++i) {
    const uint64_t bytes = ResidentBytes() + 20 * kMiB;
    free(TakeFilled(40, 1));
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      REQUIRE_COMPARE(ResidentBytes(), <, bytes);
      for (int k = 0; k < 3; ++k) {
        free(TakeFilled(40, k));
        REQUIRE_COMPARE(Threads(), ==, 1);
      }
      _exit(0);
    }
    RequireChildSucceeds(child);
  }
}

void* FreeAndTake(void* seed) {
  uint64_t state = reinterpret_cast<uint64_t>(seed);
  char* blocks[3] = {};
  size_t sizes[3] = {};
  int bytes[3] = {};
  for (int i = 0; i < g_rounds; ++i) {
    const size_t at = NextRandom(&state) % 3;
    if (blocks[at] != nullptr) REQUIRE(Has(blocks[at], sizes[at], bytes[at]));
    if (blocks[at] != nullptr && NextRandom(&state) % 4 == 0) {
      const size_t more = sizes[at] + (1 + NextRandom(&state) % 20) * kMiB;
      blocks[at] = static_cast<char*>(Hide(realloc(blocks[at], more)));
      REQUIRE(blocks[at] != nullptr && Has(blocks[at], sizes[at], bytes[at]));
      sizes[at] = more;
    } else {
      free(blocks[at]);
      sizes[at] = (17 + NextRandom(&state) % 24) * kMiB;
      blocks[at] = static_cast<char*>(
          Hide(NextRandom(&state) % 4 != 0 ? malloc(sizes[at]) : calloc(1, sizes[at])));
      REQUIRE(blocks[at] != nullptr);
    }
    bytes[at] = static_cast<int>(NextRandom(&state) % 127 + 1);
    for (size_t k = 0; k < sizes[at]; k += 4096) blocks[at][k] = static_cast<char>(bytes[at]);
    blocks[at][sizes[at] - 1] = static_cast<char>(bytes[at]);
  }
  for (char* const block : blocks) free(block);
  return nullptr;
}

void* Fork(void*) {
  while (!g_is_over.load()) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      free(Take(20));
      free(Take(30));
      _exit(0);
    }
    RequireChildSucceeds(child);
  }
  return nullptr;
}

void Storm(uint64_t seed) {
  pthread_t threads[3];
  pthread_t forks;
  REQUIRE(pthread_create(&forks, nullptr, Fork, nullptr) == 0);
  for (uint64_t i = 0; i < 3; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, FreeAndTake,
                           reinterpret_cast<void*>(seed * 3 + i + 1)) == 0);
  }
  for (const pthread_t thread : threads) REQUIRE(pthread_join(thread, nullptr) == 0);
  g_is_over.store(true);
  REQUIRE(pthread_join(forks, nullptr) == 0);
}

void Back() {
  free(TakeFilled(100, 1));
  const long before = Faults();
  // The same, a part of it, and the rest beside it; then all of it, and more.
  free(TakeFilled(100, 2));
  char* const part = TakeFilled(30, 3);
  char* const rest = TakeFilled(32, 4);
  REQUIRE_COMPARE(Faults() - before, <, 200);
  free(part);
  free(rest);
  free(TakeFilled(60, 5));
  // The most that was in use: the first two of these, and what they lack.
  REQUIRE_COMPARE(Faults() - before, <, static_cast<long>(60 * kMiB / 4096));
}

void Blocked() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGQUIT);
  REQUIRE(pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
  free(TakeFilled(100, 1));
  pthread_t other;
  const auto nothing = [](void*) -> void* { return nullptr; };
  REQUIRE(pthread_create(&other, nullptr, nothing, nullptr) == 0);
  REQUIRE(pthread_join(other, nullptr) == 0);
  free(TakeFilled(100, 2));
  const long before = Faults();
  free(TakeFilled(100, 3));
  REQUIRE_COMPARE(Faults() - before, <, 200);
}

void Decays() {
  const uint64_t bytes = ResidentBytes() + 20 * kMiB;
  char* const blocks[] = {TakeFilled(100, 1), TakeFilled(40, 2), TakeFilled(30, 3)};
  for (char* const block : blocks) free(block);
  REQUIRE_COMPARE(ResidentBytes(), >, bytes);
  AwaitResident(bytes, [] {});
  constexpr int kOwnThreads = 2;
  for (int i = 0; Threads() > kOwnThreads; ++i) {
    if (i == 60'000) REQUIRE_COMPARE(Threads(), ==, kOwnThreads);
    usleep(1000);
  }
}

ucontext_t g_main;
ucontext_t g_fiber;

void AtOnce() {
  const uint64_t bytes = ResidentBytes() + 20 * kMiB;
  auto* const zeros = static_cast<char*>(Hide(calloc(100, kMiB)));
  REQUIRE(zeros != nullptr);
  memset(zeros, 1, 100 * kMiB);
  free(zeros);
  REQUIRE_COMPARE(ResidentBytes(), <, bytes);

  constexpr size_t kStackBytes = 64 * 1024;
  static char stack[kStackBytes];
  REQUIRE(getcontext(&g_fiber) == 0);
  g_fiber.uc_stack.ss_sp = stack;
  g_fiber.uc_stack.ss_size = kStackBytes;
  g_fiber.uc_link = &g_main;
  makecontext(
      &g_fiber, [] { free(TakeFilled(100, 2)); }, 0);
  REQUIRE(swapcontext(&g_main, &g_fiber) == 0);
  REQUIRE_COMPARE(ResidentBytes(), <, bytes);
}

void RequirePeak(uint64_t bytes) {
  struct rusage usage;
  REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
  REQUIRE_COMPARE(usage.ru_maxrss * 1024, <, bytes);
}

void Peak() {
  constexpr size_t kSmall = 1000;
  constexpr size_t kBlocks = 100 * kMiB / kSmall;
  static char* blocks[kBlocks];
  const uint64_t most = ResidentBytes() + 150 * kMiB;
  free(TakeFilled(100, 1));
  void* const mapped =
      mmap(nullptr, 100 * kMiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(mapped != MAP_FAILED);
  memset(mapped, 1, 100 * kMiB);
  RequirePeak(most);
  REQUIRE(munmap(mapped, 100 * kMiB) == 0);
  free(TakeFilled(100, 1));
  for (char*& block : blocks) {
    block = static_cast<char*>(Hide(malloc(kSmall)));
    memset(block, 1, kSmall);
  }
  RequirePeak(most);
  for (char* const block : blocks) free(block);
}

// What was charged at most was never in memory.
void Sparse() {
  free(Take(1000));
  Peak();
}

void Alone() {
  const uint64_t bytes = ResidentBytes() + 20 * kMiB;
  free(TakeFilled(100, 1));
  REQUIRE_COMPARE(ResidentBytes(), <, bytes);
}

}  // namespace

int main(int count, char** arguments) {
  const std::string how = arguments[1];
  if (how == "alone") {
    Alone();
    return 0;
  }
  const WaitingThread thread;
  if (how == "contents") Contents();
  if (how == "protected") Protected();
  if (how == "forked") Forked();
  if (how == "limited") Limited();
  if (how == "locked") Locked();
  if (how == "replaced") Replaced();
  if (how == "signals") Signals();
  if (how == "alone_in_child") AloneInChild();
  if (count > 3) g_rounds = atoi(arguments[3]);
  if (how == "storm") Storm(count > 2 ? strtoull(arguments[2], nullptr, 10) : 1);
  if (how == "back") Back();
  if (how == "blocked") Blocked();
  if (how == "decays") Decays();
  if (how == "at_once") AtOnce();
  if (how == "peak") Peak();
  if (how == "sparse") Sparse();
}
