// What the mapping calls cost: a program that does nothing but map and unmap small regions,
// with the library and without. README.md says how to read the result.
//
//   mappings [--rounds N] [--regions N] [--judge wall|cpu] [--library PATH]
//
// Exit status: 0 where every line passes, 1 where one misses, 2 on an error.
#include <cstdio>
#include <string>
#include <vector>

#include "tests/bench/child.h"

namespace taskmem::bench {
namespace {

constexpr double kMaxRatio = 1.15;

struct Line {
  const char* sentence;
  const char* threads;
  const char* live;
  const char* touches;
};

constexpr Line kLines[] = {
    {"2 threads, one region at a time", "2", "1", "0"},
    {"the same, written to", "2", "1", "1"},
    {"2 threads, 100 regions at a time", "2", "100", "0"},
    {"the same, written to", "2", "100", "1"},
    {"1 thread, 100 regions at a time", "1", "100", "0"},
};

struct Times {
  std::vector<double> wall;
  std::vector<double> cpu;
};

void Measure(const Command& command, const Configuration& configuration, Times* times) {
  const Outcome outcome = Run(command, configuration);
  if (!outcome.failure.empty()) Fail(outcome.failure + "\n" + outcome.errors);
  times->wall.push_back(outcome.wall_seconds);
  times->cpu.push_back(outcome.cpu_seconds);
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  using namespace taskmem::bench;
  Flags flags(argc, argv);
  const uint64_t rounds = TakeNumber(flags, "rounds", 15, 1);
  const uint64_t regions = TakeNumber(flags, "regions", 100'000, 1);
  const std::string judge = flags.Take("judge").value_or("wall");
  if (judge != "wall" && judge != "cpu") Fail("--judge is wall or cpu, not " + judge);
  const Configuration taskmem =
      TaskmemConfiguration("taskmem", TakeTaskmemLibrary(flags), "process");
  RequireNoFlagsLeft(flags);
  const std::string child = FindBuilt("tests/bench/mappings_child");
  if (child.empty()) Fail("the program `mappings_child` is not in this build");
  bool pass = true;
  std::printf("microseconds a region%33s\n", "plain  taskmem   wall x    cpu x");
  for (const Line& line : kLines) {
    const Command command = {
        {child, line.threads, std::to_string(regions), line.live, line.touches}, {}};
    Times plain;
    Times preloaded;
    for (uint64_t round = 0; round < rounds; ++round) {
      // Each first in every other round.
      if (round % 2 == 0) Measure(command, {"glibc", "", {}}, &plain);
      Measure(command, taskmem, &preloaded);
      if (round % 2 != 0) Measure(command, {"glibc", "", {}}, &plain);
    }
    const double in_all = static_cast<double>(regions) * std::stod(line.threads) / 1e6;
    const double wall = Median(preloaded.wall) / Median(plain.wall);
    const double cpu = Median(preloaded.cpu) / Median(plain.cpu);
    const bool line_pass = (judge == "wall" ? wall : cpu) <= kMaxRatio;
    pass &= line_pass;
    std::printf("%-34s %7.2f %8.2f %8.3f %8.3f  %s (at most %.2f)\n", line.sentence,
                Median(plain.wall) / in_all, Median(preloaded.wall) / in_all, wall, cpu,
                line_pass ? "PASS" : "MISS", kMaxRatio);
    std::fflush(stdout);
  }
  return pass ? 0 : 1;
}
