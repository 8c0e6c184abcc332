// workloads NAME: runs one of the programs that bench.cc times.
#include <cinttypes>
#include <cstdio>
#include <cstring>

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

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  using taskmem::bench::kWorkloads;
  for (const taskmem::bench::Workload& workload : kWorkloads) {
    if (argc == 2 && std::strcmp(argv[1], workload.name) == 0) {
      std::printf("%" PRIu64 "\n", workload.run());
      return 0;
    }
  }
  std::fprintf(stderr, "usage: workloads NAME\n");
  return 2;
}
