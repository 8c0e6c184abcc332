// A busy engine: threads that serve requests, each a task with blocks of many sizes, of which some
// live on. Argument: requests of each thread. Prints its processor time, its time and the requests.
#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "shim/taskmem.h"

namespace {

constexpr int kThreads = 4;

void* g_kept[kThreads][64];

void Serve(int thread, int requests) {
  std::minstd_rand random(static_cast<unsigned>(thread) + 1);
  std::vector<void*> blocks(1500);
  for (int request = 0; request < requests; ++request) {
    const uint64_t id = static_cast<uint64_t>(thread) * 1'000'000 + static_cast<uint64_t>(request);
    taskmem_task_begin(id, nullptr);
    taskmem_thread_attach(id, nullptr);
    for (void*& block : blocks) {
      const unsigned kind = static_cast<unsigned>(random()) % 100;
      const size_t bytes = kind < 80   ? 16 + random() % 500
                           : kind < 99 ? 1000 + random() % 8000
                                       : 100'000 + random() % 400'000;
      block = malloc(bytes);
      static_cast<volatile char*>(block)[0] = 1;
    }
    void*& kept = g_kept[thread][request % 64];
    free(kept);
    kept = blocks[0];
    for (size_t i = 1; i < blocks.size(); ++i) free(blocks[i]);
    taskmem_thread_detach();
    taskmem_task_end(id, nullptr);
  }
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

int main(int argc, char** argv) {
  const int requests = argc > 1 ? atoi(argv[1]) : 1000;
  if (taskmem_version() == nullptr) return 2;
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(Serve, i, requests);
  for (std::thread& thread : threads) thread.join();
  const double wall =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%.6f %.6f %d\n", Seconds(usage.ru_utime) + Seconds(usage.ru_stime), wall,
              kThreads * requests);
}
