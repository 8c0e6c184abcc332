// workloads NAME [SECONDS]: runs one of the programs that bench.cc times, and prints its checksum;
// or runs it again and again, and prints how much was resident in the second quarter of that time
// and in the last, the mean of samples, in bytes.
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
  struct Quarter {
    uint64_t bytes = 0;
    uint64_t samples = 0;
  };
  Quarter quarters[4];
  std::thread sampler([&] {
    while (!is_over.load()) {
      Quarter& quarter = quarters[std::min(static_cast<int>(4 * elapsed() / seconds), 3)];
      quarter.bytes += ResidentBytes();
      ++quarter.samples;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  const uint64_t checksum = workload.run();
  bool is_same = true;
  while (is_same && elapsed() < seconds) is_same = workload.run() == checksum;
  is_over.store(true);
  sampler.join();
  for (const int number : {1, 3}) {
    const Quarter& quarter = quarters[number];
    std::printf("%" PRIu64 " ", quarter.bytes / std::max<uint64_t>(quarter.samples, 1));
  }
  std::printf("\n");
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
