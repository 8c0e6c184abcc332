// workloads NAME [SECONDS]: runs one of the programs that bench.cc times, and prints its checksum;
// or runs it again and again, and prints how much was resident at most in the first quarter of that
// time and how much later, in bytes.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <thread>

#include "tests/bench/workload.h"

namespace taskmem::bench {
namespace {

constexpr Workload kWorkloads[] = {
    {"pingpong", RunPingPong},   {"random", RunRandom},
    {"large", RunLarge},         {"tree", RunTree},
    {"strings", RunStrings},     {"larson", RunLarson},
    {"xmalloc", RunXmalloc},     {"mstress", RunMstress},
    {"churn", RunChurn},         {"sh", RunSh},
    {"requests", RunRequests},   {"switching", RunSwitching},
    {"addresses", RunAddresses}, {"untouched", RunUntouched},
    {"callocs", RunCallocs},     {"medium", RunMedium},
    {"aligned", RunAligned},     {"growing", RunGrowing},
    {"crossfree", RunCrossFree}, {"inturn", RunInTurn},
};

uint64_t ResidentBytes() {
  unsigned long all = 0;
  unsigned long resident = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%lu %lu", &all, &resident) != 2) std::abort();
  std::fclose(file);
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// False: two runs did not print the same.
bool RunFor(const Workload& workload, double seconds) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const auto elapsed = [start] {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  std::atomic<bool> is_over{false};
  uint64_t early = 0;
  uint64_t late = 0;
  std::thread sampler([&] {
    while (!is_over.load()) {
      uint64_t& most = elapsed() < seconds / 4 ? early : late;
      most = std::max(most, ResidentBytes());
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  const uint64_t checksum = workload.run();
  bool is_same = true;
  while (is_same && elapsed() < seconds) is_same = workload.run() == checksum;
  is_over.store(true);
  sampler.join();
  if (is_same) std::printf("%" PRIu64 " %" PRIu64 "\n", early, late);
  return is_same;
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  using taskmem::bench::kWorkloads;
  for (const taskmem::bench::Workload& workload : kWorkloads) {
    if (argc < 2 || argc > 3 || std::strcmp(argv[1], workload.name) != 0) continue;
    if (argc == 3) return taskmem::bench::RunFor(workload, std::atof(argv[2])) ? 0 : 1;
    std::printf("%" PRIu64 "\n", workload.run());
    return 0;
  }
  std::fprintf(stderr, "usage: workloads NAME [SECONDS]\n");
  return 2;
}
