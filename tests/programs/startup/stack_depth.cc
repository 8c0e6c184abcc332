// How much stack calls of the allocator take: each is made on a stack of its own that was painted
// before, as a fiber makes it. Arguments: the state ("limit...": at a quota; "looks": with what
// is charged by residency), and how many bytes a call may take.
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/programs/support/tasks.h"

namespace {

constexpr size_t kStackWords = (32 << 10) / sizeof(uint64_t);
constexpr uint64_t kPaint = 0x5ca1ab1e0ddba11;
constexpr size_t kRedZone = 128;

alignas(64) uint64_t g_stack[kStackWords];
ucontext_t g_caller;
ucontext_t g_fiber;
void (*g_call)();
size_t g_depth;

size_t g_size;
void* g_block;

void OnFiber() {
  uintptr_t sp;
  __asm__ volatile("movq %%rsp, %0" : "=r"(sp));
  const size_t top = (sp - kRedZone - reinterpret_cast<uintptr_t>(g_stack)) / sizeof(uint64_t);
  volatile uint64_t* const words = g_stack;
  for (size_t i = 0; i < top; ++i) words[i] = kPaint;
  g_call();
  size_t lowest = 0;
  while (lowest < top && words[lowest] == kPaint) ++lowest;
  g_depth = sp - reinterpret_cast<uintptr_t>(g_stack + lowest);
}

struct Deepest {
  const char* name;
  size_t bytes;
};
Deepest g_deepest[16];
size_t g_names;

void Measure(const char* name, void (*call)()) {
  g_call = call;
  REQUIRE(getcontext(&g_fiber) == 0);
  g_fiber.uc_stack.ss_sp = g_stack;
  g_fiber.uc_stack.ss_size = sizeof(g_stack);
  g_fiber.uc_link = &g_caller;
  makecontext(&g_fiber, OnFiber, 0);
  REQUIRE(swapcontext(&g_caller, &g_fiber) == 0);
  size_t i = 0;
  while (i < g_names && strcmp(g_deepest[i].name, name) != 0) ++i;
  if (i == g_names) {
    REQUIRE(g_names < sizeof(g_deepest) / sizeof(g_deepest[0]));
    g_deepest[g_names++] = {name, 0};
  }
  if (g_depth > g_deepest[i].bytes) g_deepest[i].bytes = g_depth;
}

void Malloc() { g_block = malloc(g_size); }
void Calloc() { g_block = calloc(1, g_size); }
void Aligned() { g_block = memalign(4096, g_size); }
void Realloc() {
  void* grown = realloc(g_block, g_size);
  if (grown != nullptr) g_block = grown;
}
void Free() { free(g_block); }
void Trim() { malloc_trim(0); }
alignas(16) char g_no_block[64];
void FreeForeign() { free(g_no_block + 16); }

// One that lives all the time: at a limit none can be made.
sem_t g_asked;
sem_t g_done;
void (*g_asked_for)();

void* Serve(void*) {
  for (;;) {
    while (sem_wait(&g_asked) != 0) {
    }
    g_asked_for();
    REQUIRE(sem_post(&g_done) == 0);
  }
}

void OnOtherThread(void (*call)()) {
  g_asked_for = call;
  REQUIRE(sem_post(&g_asked) == 0);
  while (sem_wait(&g_done) != 0) {
  }
}

void MeasureSize(size_t size) {
  g_size = size;
  Measure("malloc", Malloc);
  Measure("free", Free);
  Measure("calloc", Calloc);
  g_size = size + size / 2;
  Measure("realloc", Realloc);
  g_size = size * 8;
  Measure("realloc", Realloc);
  g_size = 100;
  Measure("realloc", Realloc);
  Measure("free", Free);
  g_size = size;
  Measure("memalign", Aligned);
  Measure("free", Free);
  // What another thread allocates and frees.
  OnOtherThread(Malloc);
  Measure("free of another thread's", Free);
  Measure("malloc", Malloc);
  OnOtherThread(Free);
  Measure("malloc", Malloc);
  Measure("free", Free);
}

void MeasureMany(size_t size) {
  constexpr size_t kBytes = 4 << 20;
  static void* blocks[kBytes / 32];
  size_t count = 0;
  g_size = size;
  for (size_t bytes = 0; bytes < kBytes; bytes += size) {
    Measure("malloc", Malloc);
    blocks[count++] = g_block;
    if (bytes >= (1 << 20) && size < 1000) bytes += 31 * size;
  }
  for (size_t i = 0; i < count; ++i) {
    g_block = blocks[i];
    Measure("free", Free);
  }
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc == 3);
  const char* const state = argv[1];
  const size_t most = static_cast<size_t>(atoi(argv[2]));
  const bool at_limit = strncmp(state, "limit", 5) == 0;
  static char output[4096];
  setvbuf(stdout, output, _IOFBF, sizeof(output));
  REQUIRE(sem_init(&g_asked, 0, 0) == 0 && sem_init(&g_done, 0, 0) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, Serve, nullptr) == 0);
  OnOtherThread(Free);
  if (strstr(state, "looks") != nullptr) {
    // What the library looks for in /proc/self/maps.
    const int shared = MAP_SHARED | MAP_ANONYMOUS;
    REQUIRE(mmap(nullptr, 1 << 20, PROT_READ, shared, -1, 0) != MAP_FAILED);
    const int stack = MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN;
    REQUIRE(mmap(nullptr, 1 << 20, PROT_READ, stack, -1, 0) != MAP_FAILED);
    // And in /proc/self/pagemap.
    const int file = open("/proc/self/exe", O_RDONLY);
    REQUIRE(file >= 0);
    void* const copy = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    REQUIRE(copy != MAP_FAILED);
  }
  if (at_limit) {
    // More than the quota of 64 MiB, which a task may have; some of it in overflow.
    Begin(kTask, 64 * kMiB);
    Attach(kTask);
    for (int i = 0; i < 62; ++i) Hide(malloc(HideSize(1 << 20)));
    for (int i = 0; i < 2000; ++i) Hide(malloc(HideSize(10000)));
  }
  for (size_t size : {1, 16, 24, 64, 100, 500, 1024, 2000, 9000, 40000, 130000, 600000, 3000000,
                      20000000, 40000000, 100000000}) {
    MeasureSize(size);
  }
  for (size_t size : {32, 900, 5000, 70000}) MeasureMany(size);
  if (at_limit) {
    for (int i = 0; i < 40; ++i) MeasureSize(static_cast<size_t>(30000 + 500 * i));
  }
  Measure("malloc_trim", Trim);
  Measure("free of what is no block", FreeForeign);
  int failed = 0;
  for (size_t i = 0; i < g_names; ++i) {
    printf("%s: %s takes %zu bytes\n", state, g_deepest[i].name, g_deepest[i].bytes);
    if (g_deepest[i].bytes > most) ++failed;
  }
  return failed == 0 ? 0 : 1;
}
