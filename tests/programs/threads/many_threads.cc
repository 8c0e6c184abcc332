// 2,000 threads alive at once, each with blocks of its own, each freeing those
// of its neighbour.
#include <pthread.h>

#include "tests/programs/support/check.h"

namespace {

constexpr int kThreads = 2000;
constexpr int kBlocks = 10;

pthread_barrier_t g_barrier;
void* g_blocks[kThreads][kBlocks];

constexpr size_t SizeOf(int block) { return size_t{16} << block; }

void* Thread(void* argument) {
  const int self = static_cast<int>(reinterpret_cast<intptr_t>(argument));
  for (int i = 0; i < kBlocks; ++i) {
    g_blocks[self][i] = malloc(SizeOf(i));
    REQUIRE(g_blocks[self][i] != nullptr);
    FillPattern(g_blocks[self][i], SizeOf(i), static_cast<unsigned>(self));
  }
  pthread_barrier_wait(&g_barrier);
  const int other = (self + 1) % kThreads;
  for (int i = 0; i < kBlocks; ++i) {
    REQUIRE(HasPattern(g_blocks[other][i], SizeOf(i), static_cast<unsigned>(other)));
    free(g_blocks[other][i]);
  }
  return nullptr;
}

}  // namespace

int main() {
  pthread_t threads[kThreads];
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  pthread_barrier_init(&g_barrier, nullptr, kThreads);
  for (int i = 0; i < kThreads; ++i) {
    REQUIRE(pthread_create(&threads[i], &attributes, Thread,
                           reinterpret_cast<void*>(static_cast<intptr_t>(i))) == 0);
  }
  for (pthread_t thread : threads) REQUIRE(pthread_join(thread, nullptr) == 0);
}
