// What it costs to ask spill hooks at the limit, beyond the hooks' own time. README.md says
// how to read the result.
//
//   reclaim [--rounds N] [--library PATH]
//
// Exit status: 0 where every line passes, 1 where one misses, 2 on an error.
#include <cstdio>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/bench/child.h"

namespace taskmem::bench {
namespace {

constexpr double kMaxDispatchNanoseconds = 5000;

struct Line {
  const char* name;  // as reclaim_child prints it
  const char* sentence;
  bool is_judged;
};

constexpr Line kLines[] = {
    {"refused", "a request that is refused, no hooks", false},
    {"noop", "a hook that frees nothing, more", true},
    {"noop-of-16", "the same, each of 16", true},
    {"noop-reclaimer", "the same, on the reclaimer's thread", false},
    {"served", "a request that a hook makes room for", false},
    {"with-room", "the same request with room", false},
    {"dispatch", "what is in between", true},
};

void Run(const std::string& child, const Configuration& configuration,
         std::map<std::string, std::vector<double>>* costs) {
  // No request may be let through because there were many.
  const Outcome outcome = Run({{child}, {"TASKMEM_REFUSAL_BUDGET=1000000000"}}, configuration);
  if (!outcome.failure.empty()) Fail(outcome.failure + "\n" + outcome.errors);
  std::istringstream output(outcome.output);
  std::string name;
  double nanoseconds;
  while (output >> name >> nanoseconds) (*costs)[name].push_back(nanoseconds);
  (*costs)["dispatch"].push_back((*costs)["served"].back() - (*costs)["with-room"].back());
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  using namespace taskmem::bench;
  Flags flags(argc, argv);
  const uint64_t rounds = TakeNumber(flags, "rounds", 3, 1);
  const Configuration taskmem =
      TaskmemConfiguration("taskmem", TakeTaskmemLibrary(flags), "process");
  RequireNoFlagsLeft(flags);
  const std::string child = FindBuilt("tests/bench/reclaim_child");
  if (child.empty()) Fail("the program `reclaim_child` is not in this build");
  std::map<std::string, std::vector<double>> costs;
  for (uint64_t round = 0; round < rounds; ++round) Run(child, taskmem, &costs);
  bool pass = true;
  std::printf("nanoseconds\n");
  for (const Line& line : kLines) {
    const double cost = Median(costs[line.name]);
    std::printf("%-40s %9.0f", line.sentence, cost);
    if (line.is_judged) {
      const bool line_pass = cost < kMaxDispatchNanoseconds;
      std::printf("  %s (below %.0f)", line_pass ? "PASS" : "MISS", kMaxDispatchNanoseconds);
      pass &= line_pass;
    }
    std::printf("\n");
  }
  return pass ? 0 : 1;
}
