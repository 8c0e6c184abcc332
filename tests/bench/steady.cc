// Runs each program of bench.cc that is a workload for some time, again and again in one process,
// and compares what is resident in the second quarter of that time with what is resident in the
// last: what stays must not grow. README.md says how to read the result.
//
//   steady [--seconds N] [--only PROGRAM] [--library PATH]
//
// Exit status: 0 where every line passes, 1 where one misses, 2 on an error.
#include <cinttypes>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/bench/child.h"
#include "tests/bench/programs.h"

namespace taskmem::bench {
namespace {

// Threads overlap in other ways from run to run.
constexpr double kMostGrowth = 1.05;
constexpr double kMostGrowthMiB = 2;

// One line; false where it misses.
bool Judge(const Program& program, const Configuration& configuration, uint64_t seconds) {
  Command command = program.command;
  command.arguments.push_back(std::to_string(seconds));
  command.disable_huge_pages = true;
  command.timeout_seconds = 60 + 10 * static_cast<double>(seconds);
  const Outcome outcome = Run(command, configuration);
  std::printf("%-9s %-16s ", program.name.c_str(), configuration.name.c_str());
  uint64_t early = 0;
  uint64_t late = 0;
  if (!outcome.failure.empty() ||
      std::sscanf(outcome.output.c_str(), "%" SCNu64 " %" SCNu64, &early, &late) != 2) {
    std::printf("FAILED: %s\n%s", outcome.failure.c_str(), outcome.errors.c_str());
    return false;
  }
  const double early_mib = static_cast<double>(early) / (1 << 20);
  const double late_mib = static_cast<double>(late) / (1 << 20);
  const bool pass = late_mib <= early_mib * kMostGrowth + kMostGrowthMiB;
  std::printf("%10.1f %10.1f %7.3f  %s\n", early_mib, late_mib, late_mib / early_mib,
              pass ? "PASS" : "MISS");
  return pass;
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  using namespace taskmem::bench;
  Flags flags(argc, argv);
  const uint64_t seconds = TakeNumber(flags, "seconds", 60, 1);
  const std::string only = flags.Take("only").value_or("");
  const std::string library = TakeTaskmemLibrary(flags);
  RequireNoFlagsLeft(flags);
  std::vector<std::string> notes;
  const std::vector<Program> programs = MakePrograms(only, &notes);
  setlinebuf(stdout);
  std::printf("%-9s %-16s %10s %10s %7s\n", "program", "configuration", "2/4 MiB", "4/4 MiB", "x");
  bool pass = true;
  for (const Program& program : programs) {
    if (!program.is_workload) continue;
    for (const char* task_by : {"process", "thread"}) {
      const std::string name = std::string("taskmem-") + task_by;
      pass &= Judge(program, TaskmemConfiguration(name, library, task_by), seconds);
    }
  }
  RemoveProgramFiles();
  return pass ? 0 : 1;
}
