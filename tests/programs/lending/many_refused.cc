// Many threads at once, each a task that is refused something once: what that costs does not
// grow with the number of threads. What is counted is what is read of other threads in /proc.
// The argument is their number.
#include <pthread.h>

#include <atomic>
#include <vector>

#include "tests/programs/support/check.h"

namespace {

std::atomic<int> g_refused{0};
pthread_barrier_t g_all;

void* Ask(void*) {
  void* held = malloc(20000);
  memset(held, 1, 20000);
  if (void* more = malloc(HideSize(2 << 20)); more == nullptr) {
    ++g_refused;
  } else {
    free(more);
  }
  pthread_barrier_wait(&g_all);
  free(held);
  return nullptr;
}

// Read calls of this process so far.
uint64_t Reads() {
  FILE* file = fopen("/proc/self/io", "r");
  REQUIRE(file != nullptr);
  char name[32];
  unsigned long long value = 0;
  while (fscanf(file, "%31s %llu", name, &value) == 2 && strcmp(name, "syscr:") != 0) {
  }
  fclose(file);
  return value;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const auto count = static_cast<size_t>(atol(argv[1]));
  pthread_attr_t small;
  pthread_attr_init(&small);
  REQUIRE(pthread_attr_setstacksize(&small, 65536) == 0);
  REQUIRE(pthread_barrier_init(&g_all, nullptr, static_cast<unsigned>(count)) == 0);
  std::vector<pthread_t> threads(count);
  const uint64_t before = Reads();
  for (pthread_t& thread : threads) REQUIRE(pthread_create(&thread, &small, Ask, nullptr) == 0);
  for (pthread_t thread : threads) REQUIRE(pthread_join(thread, nullptr) == 0);
  printf("%d refused, %llu reads\n", g_refused.load(),
         static_cast<unsigned long long>(Reads() - before));
  REQUIRE_COMPARE(Reads() - before, <=, 32 * count);
}
