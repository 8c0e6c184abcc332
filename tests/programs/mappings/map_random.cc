// Arguments: seed, threads, steps of each, and "fail" to have calls fail at random. Each
// thread, with a task of its own, does anything to a part of the address space that is its own;
// after each batch what the library knows is compared with /proc/self/maps, and the books
// with what the library knows.
//
// Calls fail by a filter of system calls: of a length that is 1 above a multiple of the page
// size with ENOMEM, 2 above with EINVAL. (The kernel rounds lengths up.)
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <random>

#include "tests/programs/support/mappings.h"

namespace {

constexpr uint64_t kArenaPages = 1024;
constexpr uint64_t kArenaBytes = kArenaPages * kPage;
constexpr int kMostThreads = 8;
constexpr int kStepsInBatch = 250;
// Far below where the kernel places what it places itself.
char* const kArenas = reinterpret_cast<char*>(uint64_t{1} << 44);

int g_threads = 1;
int g_steps = 0;
unsigned g_seed = 0;
bool g_fail = false;
pthread_barrier_t g_barrier;

// A filter for the calls below and the arguments that hold their lengths.
void MakeCallsFail() {
  struct Call {
    unsigned number;
    unsigned argument;
  };
  constexpr Call kCalls[] = {{SYS_mmap, 1},    {SYS_munmap, 1}, {SYS_mprotect, 1},
                             {SYS_madvise, 1}, {SYS_mremap, 1}, {SYS_mremap, 2}};
  sock_filter code[64];
  unsigned short length = 0;
  const auto add = [&](sock_filter instruction) { code[length++] = instruction; };
  for (const Call& call : kCalls) {
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call.number, 0, 6));
    add(BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 static_cast<unsigned>(offsetof(seccomp_data, args) + 8 * call.argument)));
    add(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kPage - 1));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1));
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOMEM));
    add(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 1));
    add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL));
  }
  add(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog program = {length, code};
  REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
}

class Worker {
 public:
  Worker(int index, unsigned seed) : random_(seed), arena_(kArenas + index * kArenaBytes) {}

  void Step() {
    uint64_t pages = 0;
    char* const at = Range(random_() % 16 == 0 ? 300 : 12, &pages);
    constexpr int kProtections[] = {PROT_NONE,
                                    PROT_READ,
                                    PROT_READ | PROT_WRITE,
                                    PROT_READ | PROT_WRITE,
                                    PROT_WRITE,
                                    PROT_READ | PROT_WRITE | PROT_EXEC};
    const int protection = kProtections[random_() % 6];
    switch (random_() % 8) {
      case 0:
      case 1: {
        constexpr int kFlags[] = {MAP_PRIVATE, MAP_PRIVATE, MAP_PRIVATE | MAP_NORESERVE,
                                  MAP_SHARED};
        mmap(at, Length(pages), protection, kFlags[random_() % 4] | MAP_ANONYMOUS | MAP_FIXED, -1,
             0);
        break;
      }
      case 2: munmap(at, Length(pages)); break;
      case 3: mprotect(at, Length(pages), protection); break;
      case 4: madvise(at, Length(pages), random_() % 2 == 0 ? MADV_DONTNEED : MADV_FREE); break;
      case 5:
        mmap(at, Length(pages), protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
             0);
        break;
      case 6: {
        // In place: longer or shorter.
        const uint64_t room = static_cast<uint64_t>(arena_ + kArenaBytes - at) / kPage;
        const uint64_t now = 1 + random_() % (room < 24 ? room : 24);
        mremap(at, Length(pages), Length(now), 0);
        break;
      }
      case 7: {
        uint64_t now = 0;
        char* const to = Range(12, &now);
        const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
        switch (random_() % 3) {
          case 0: mremap(at, Length(pages), Length(now), flags, to); break;
          case 1:
            if (to + pages * kPage > arena_ + kArenaBytes) break;
            mremap(at, pages * kPage, pages * kPage, flags | MREMAP_DONTUNMAP, to);
            break;
          case 2: mremap(at, 0, Length(now), flags, to); break;
        }
        break;
      }
    }
    if (random_() % 4 == 0) TouchSome(at);
  }

 private:
  char* Range(uint64_t most, uint64_t* pages) {
    const uint64_t first = random_() % kArenaPages;
    *pages = 1 + random_() % most;
    if (*pages > kArenaPages - first) *pages = kArenaPages - first;
    return arena_ + first * kPage;
  }
  uint64_t Length(uint64_t pages) {
    if (!g_fail || random_() % 3 != 0) return pages * kPage;
    return (pages - 1) * kPage + 1 + random_() % 2;
  }
  // Makes a page resident where it can be written.
  void TouchSome(char* at) { madvise(at, kPage, 23 /* MADV_POPULATE_WRITE */); }

  std::mt19937 random_;
  char* const arena_;
};

void Compare() {
  for (int i = 0; i < g_threads; ++i) {
    RequireMapMatchesKernel(kArenas + i * kArenaBytes, kArenaBytes);
  }
  RequireBooksMatchPages();
}

void* Work(void* argument) {
  const int index = static_cast<int>(reinterpret_cast<intptr_t>(argument));
  const uint64_t task = kTask + static_cast<uint64_t>(index);
  Begin(task);
  Attach(task);
  Worker worker(index, g_seed + static_cast<unsigned>(index));
  for (int step = 0; step < g_steps; ++step) {
    worker.Step();
    if ((step + 1) % kStepsInBatch != 0) continue;
    pthread_barrier_wait(&g_barrier);
    if (index == 0) {
      Compare();
      if (step % 1000 == kStepsInBatch - 1) {
        taskmem_sample_residency();
        RequireBooksMatchPages();
      }
    }
    pthread_barrier_wait(&g_barrier);
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc >= 4);
  g_seed = static_cast<unsigned>(atoi(argv[1]));
  g_threads = atoi(argv[2]);
  g_steps = atoi(argv[3]);
  g_fail = argc > 4;
  REQUIRE(g_threads <= kMostThreads);
  pthread_barrier_init(&g_barrier, nullptr, static_cast<unsigned>(g_threads));
  if (g_fail) MakeCallsFail();
  pthread_t threads[kMostThreads];
  for (intptr_t i = 0; i < g_threads; ++i) {
    REQUIRE(pthread_create(&threads[i], nullptr, Work, reinterpret_cast<void*>(i)) == 0);
  }
  for (int i = 0; i < g_threads; ++i) pthread_join(threads[i], nullptr);
  REQUIRE(munmap(kArenas, static_cast<uint64_t>(g_threads) * kArenaBytes) == 0);
  Compare();
  taskmem_mapping left;
  REQUIRE(taskmem_next_mapping(kArenas, &left) == ENOENT ||
          left.start >= reinterpret_cast<uint64_t>(kArenas) + g_threads * kArenaBytes);
  taskmem_sample_residency();
  RequireBooksMatchPages();
  for (int i = 0; i < g_threads; ++i) {
    REQUIRE_COMPARE(Charged(kTask + static_cast<uint64_t>(i)), <, 256 * 1024);
  }
}
