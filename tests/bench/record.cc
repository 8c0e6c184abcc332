// What recording costs: a busy engine, alone and recorded, in turn. README.md says how to read the
// result.
//
//   record [--rounds N] [--requests N] [--library PATH]
//
// Exit status: 0 where every line passes, 1 where one misses, 2 on an error.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "tests/bench/child.h"

namespace taskmem::bench {
namespace {

constexpr double kMostOverhead = 1.01;
constexpr double kMostBytesOfAMinute = 5e6;
constexpr double kMinute = 60;  // in seconds
constexpr double kThreads = 4;  // of the engine

// What the engine prints of itself, and what was used beside it.
struct Figures {
  double cpu_seconds = 0;
  double wall_seconds = 0;
  double beside_seconds = 0;
  double requests = 0;
};

Figures RunOnce(const std::vector<std::string>& before, const std::string& child,
                uint64_t requests) {
  Command command;
  command.arguments = before;
  command.arguments.push_back(child);
  command.arguments.push_back(std::to_string(requests));
  const Outcome outcome = Run(command, {"taskmem", "", {}});
  if (!outcome.failure.empty()) Fail(outcome.failure + "\n" + outcome.errors);
  Figures run;
  std::istringstream output(outcome.output);
  if (!(output >> run.cpu_seconds >> run.wall_seconds >> run.requests)) {
    Fail("the engine printed no figures");
  }
  run.beside_seconds = outcome.cpu_seconds - run.cpu_seconds;
  return run;
}

bool Judge(const char* name, double value, double most, const char* unit) {
  const bool passes = value < most;
  std::printf("%-52s %10.4f %-9s %s (below %g)\n", name, value, unit, passes ? "PASS" : "MISS",
              most);
  return passes;
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  using namespace taskmem::bench;
  Flags flags(argc, argv);
  const uint64_t rounds = TakeNumber(flags, "rounds", 7, 1);
  const uint64_t requests = TakeNumber(flags, "requests", 4000, 1);
  const std::string library = TakeTaskmemLibrary(flags);
  RequireNoFlagsLeft(flags);
  const std::string child = FindBuilt("tests/bench/record_child");
  const std::string built = FindBuilt("tools/taskmem_command");
  if (child.empty() || built.empty()) Fail("the engine or the command is not in this build");
  // The command finds the library beside it.
  char folder[] = "/tmp/taskmem-bench-record-XXXXXX";
  if (mkdtemp(folder) == nullptr) Fail("cannot make a folder in /tmp");
  const std::string taskmem = std::string(folder) + "/taskmem";
  const std::string file = std::string(folder) + "/recording";
  std::filesystem::copy_file(built, taskmem);
  std::filesystem::copy_file(library, std::string(folder) + "/libtaskmem.so");
  const std::vector<std::string> alone = {taskmem, "run", "--quiet", "--task-by", "none", "--"};
  const std::vector<std::string> recorded = {taskmem, "run",      "--quiet", "--task-by",
                                             "none",  "--record", file,      "--"};
  std::vector<double> cpu, wall, beside;
  double requests_a_second = 0;
  for (uint64_t round = 0; round < rounds; ++round) {
    const Figures a = RunOnce(alone, child, requests);
    const Figures b = RunOnce(recorded, child, requests);
    cpu.push_back(b.cpu_seconds / a.cpu_seconds);
    wall.push_back(b.wall_seconds / a.wall_seconds);
    // Without what the command takes anyway, to find and report.
    beside.push_back((b.beside_seconds - a.beside_seconds) / b.wall_seconds);
    requests_a_second = std::max(requests_a_second, a.requests / a.wall_seconds);
    std::printf("round %llu: engine %.2f s alone, %.2f s recorded; %.0f requests a second\n",
                static_cast<unsigned long long>(round + 1), a.wall_seconds, b.wall_seconds,
                b.requests / b.wall_seconds);
  }
  // A short run shows what a recording begins with.
  const auto of_a_thread = static_cast<uint64_t>(requests_a_second * kMinute / kThreads) + 1;
  const Figures minute = RunOnce(recorded, child, of_a_thread);
  const double bytes = static_cast<double>(std::filesystem::file_size(file));
  std::printf("a minute: %.1f s, %.0f requests a second\n", minute.wall_seconds,
              minute.requests / minute.wall_seconds);
  std::filesystem::remove_all(folder);
  bool pass =
      Judge("processor time of the engine, recorded to alone", Median(cpu), kMostOverhead, "");
  std::printf("%-52s %10.4f\n", "wall time of the engine, recorded to alone", Median(wall));
  std::printf("%-52s %10.4f\n", "a processor's time that the recorder takes, the end included",
              Median(beside));
  pass &= Judge("the file, a minute", bytes / minute.wall_seconds * kMinute / 1e6,
                kMostBytesOfAMinute / 1e6, "MB");
  return pass ? 0 : 1;
}
