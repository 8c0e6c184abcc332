// What the calls of taskmem's API cost, and malloc with and without a task.
// README.md says how to read the result.
//
//   api_cost [--rounds N] [--library PATH]
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

struct Line {
  const char* name;      // as api_cost_child prints it
  const char* compared;  // the name of the same thing without taskmem, or nullptr
  const char* sentence;
  double bar_nanoseconds;  // 0: shown, not judged
};

constexpr Line kLines[] = {
    {"attach", nullptr, "attach to the other of two tasks", 10},
    {"attach-malloc-free", nullptr, "the same, then malloc and free", 0},
    {"begin-end", nullptr, "begin and end a task", 2000},
    {"begin-attach-malloc-free-end", nullptr, "the same, with one block in between", 0},
    {"malloc-free-same", "malloc-free-same", "malloc and free, one size", 0},
    {"malloc-free-same-in-task", "malloc-free-same", "the same, attached to a task", 0},
    {"malloc-free-random", "malloc-free-random", "malloc and free, 4096 live", 0},
    {"malloc-free-random-in-task", "malloc-free-random", "the same, attached to a task", 0},
};

// Nanoseconds by name, one of each round.
using Costs = std::map<std::string, std::vector<double>>;

void Measure(const std::string& child, const Configuration& configuration, Costs* costs) {
  const Outcome outcome = Run({{child}, {}}, configuration);
  if (!outcome.failure.empty()) {
    Fail(configuration.name + ": " + outcome.failure + "\n" + outcome.errors);
  }
  std::istringstream output(outcome.output);
  std::string name;
  double nanoseconds;
  while (output >> name >> nanoseconds) (*costs)[name].push_back(nanoseconds);
}

bool PrintLine(const Line& line, Costs& taskmem, Costs& mimalloc) {
  std::printf("%-36s", line.sentence);
  if (taskmem[line.name].empty()) {
    std::printf("  %s: the library has no such call\n", line.bar_nanoseconds > 0 ? "MISS" : "none");
    return line.bar_nanoseconds == 0;
  }
  const double cost = Median(taskmem[line.name]);
  std::printf(" %9.2f", cost);
  if (line.compared != nullptr && !mimalloc[line.compared].empty()) {
    const double plain = Median(mimalloc[line.compared]);
    std::printf(" %9.2f %7.3f", plain, cost / plain);
  }
  bool pass = true;
  if (line.bar_nanoseconds > 0) {
    pass = cost < line.bar_nanoseconds;
    std::printf("  %s (below %.0f)", pass ? "PASS" : "MISS", line.bar_nanoseconds);
  }
  std::printf("\n");
  return pass;
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
  const Configuration mimalloc = {"mimalloc", FindSystemLibrary("libmimalloc.so.2"), {}};
  const std::string child = FindBuilt("tests/bench/api_cost_child");
  if (child.empty()) Fail("the program `api_cost_child` is not in this build");

  Costs with_taskmem;
  Costs with_mimalloc;
  for (uint64_t round = 0; round < rounds; ++round) {
    Measure(child, taskmem, &with_taskmem);
    if (!mimalloc.preload.empty()) Measure(child, mimalloc, &with_mimalloc);
  }
  std::printf("%-36s %9s %9s %7s\n", "nanoseconds", "taskmem", "mimalloc", "ratio");
  bool pass = true;
  for (const Line& line : kLines) pass &= PrintLine(line, with_taskmem, with_mimalloc);
  return pass ? 0 : 1;
}
