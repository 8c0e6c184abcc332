// fork() in a signal handler, wherever that interrupts its thread: amid malloc and free, mmap and
// munmap, fork itself, or all of these on several threads; amid collecting what other threads have
// left or keep; amid the beginning and end of a thread. Parent and child go on with what was
// interrupted. The argument says what; the signals come from a child that sends them one by one.
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include <atomic>

#include "tests/programs/support/wait_for.h"

namespace {

constexpr int kForks = 400;
std::atomic<int> g_forks{0};
std::atomic<int> g_returned{0};
thread_local volatile bool t_is_child = false;

bool AreEnough() { return g_forks >= kForks && g_returned != 0; }

// Every eighth child returns into what was interrupted, and ends where the main loop sees it.
// Where a fork takes longer than the next signal, the handler alone runs: in the end it must let
// the thread go on.
void Handler(int) {
  if (AreEnough()) return;
  const int saved_errno = errno;
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    if (g_forks % 8 != 0) _exit(0);
    signal(SIGALRM, SIG_DFL);
    signal(SIGUSR1, SIG_IGN);
    t_is_child = true;
  } else if (child > 0) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    // Who returns is told by 7: the program's own end is 0.
    if (WIFEXITED(status) && WEXITSTATUS(status) == 7) ++g_returned;
    REQUIRE_COMPARE(WIFSIGNALED(status) ? WTERMSIG(status) : 0, ==, 0);
    REQUIRE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 7);
    ++g_forks;
  }
  errno = saved_errno;
}

// What is called for ever; the seed differs by thread.
void Allocate(unsigned seed) {
  constexpr int kBlocks = 256;
  static thread_local void* blocks[kBlocks];
  for (int i = 0; i < kBlocks; ++i) {
    free(blocks[i]);
    seed = seed * 1664525 + 1013904223;
    blocks[i] = malloc(seed % 16 == 0 ? seed % 400'000 : seed % 4000);
    REQUIRE(blocks[i] != nullptr);
  }
}

void Map(unsigned) {
  constexpr int kMaps = 64;
  static thread_local void* maps[kMaps];
  for (void*& map : maps) {
    if (map != nullptr) REQUIRE(munmap(map, 8192) == 0);
    map = mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(map != MAP_FAILED);
  }
}

void Fork(unsigned) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(t_is_child ? 7 : 0);
  int status;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
}

void ChangeSignal(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(how, &set, nullptr);
}

// The contexts of threads that have ended are collected, and those of threads that sleep.
void Collect(unsigned) { malloc_trim(0); }

// Each leaves a context.
void* End(void* are_there) {
  free(malloc(100'000));
  pthread_barrier_wait(static_cast<pthread_barrier_t*>(are_there));
  return nullptr;
}

void* Sleep(void*) {
  free(malloc(100'000));
  for (;;) pause();
}

void* AllocateOnce(void* seed) {
  ChangeSignal(SIG_UNBLOCK);
  Allocate(static_cast<unsigned>(reinterpret_cast<uintptr_t>(seed)));
  ChangeSignal(SIG_BLOCK);
  // Who forks here has one thread in the child, which must not be waited for.
  if (t_is_child) _exit(7);
  return nullptr;
}

// Threads begin and end, and signals come only to these.
void Begin(unsigned seed) {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, AllocateOnce, reinterpret_cast<void*>(seed)) == 0);
  pthread_join(thread, nullptr);
}

using Work = void (*)(unsigned);

[[noreturn]] void EndChild(Work work) {
  // It is whole: it can do what it was amid, and what goes with it.
  if (work != Fork) {
    for (int i = 0; i < 5; ++i) work(1);
  }
  Allocate(3);
  Map(0);
  _exit(7);
}

void Repeat(Work work, unsigned seed) {
  for (unsigned i = 0; !AreEnough(); ++i) {
    work(seed + i);
    if (t_is_child) EndChild(work);
  }
}

void* Thread(void* argument) {
  ChangeSignal(SIG_UNBLOCK);
  const auto index = reinterpret_cast<uintptr_t>(argument);
  Repeat(index % 2 == 0 ? Allocate : Map, static_cast<unsigned>(index) * 7919);
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  alarm(100);
  const pid_t self = getpid();
  const pid_t sender = fork();
  if (sender == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGUSR1, SIG_IGN);
    const timespec pause = {0, 300'000};
    // Until there is a handler a signal would end the program.
    timespec start = {0, 100'000'000};
    nanosleep(&start, nullptr);
    while (kill(self, SIGUSR1) == 0 && getppid() == self) nanosleep(&pause, nullptr);
    _exit(0);
  }
  struct sigaction action = {};
  action.sa_handler = Handler;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, nullptr);
  if (strcmp(argv[1], "malloc") == 0) Repeat(Allocate, 1);
  if (strcmp(argv[1], "mmap") == 0) Repeat(Map, 1);
  if (strcmp(argv[1], "fork") == 0) Repeat(Fork, 1);
  if (strcmp(argv[1], "collect") == 0) {
    ChangeSignal(SIG_BLOCK);
    pthread_barrier_t are_there;
    pthread_barrier_init(&are_there, nullptr, 17);
    pthread_t threads[16];
    for (pthread_t& thread : threads) {
      REQUIRE(pthread_create(&thread, nullptr, End, &are_there) == 0);
    }
    pthread_barrier_wait(&are_there);
    for (pthread_t thread : threads) pthread_join(thread, nullptr);
    for (int i = 0; i < 4; ++i) {
      pthread_t sleeper;
      REQUIRE(pthread_create(&sleeper, nullptr, Sleep, nullptr) == 0);
    }
    ChangeSignal(SIG_UNBLOCK);
    Repeat(Collect, 1);
  }
  if (strcmp(argv[1], "begin") == 0) {
    ChangeSignal(SIG_BLOCK);
    Repeat(Begin, 1);
  }
  if (strcmp(argv[1], "threads") == 0) {
    // Whoever waits for threads must not be a child without them.
    ChangeSignal(SIG_BLOCK);
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; ++i) {
      REQUIRE(pthread_create(&threads[i], nullptr, Thread, reinterpret_cast<void*>(i)) == 0);
    }
    for (pthread_t thread : threads) pthread_join(thread, nullptr);
  }
  signal(SIGUSR1, SIG_IGN);
  kill(sender, SIGKILL);
  waitpid(sender, nullptr, 0);
}
