// What cached blocks cost: pinning one, and writing 1 GiB of them to disk against dd in the
// same directory. README.md says how to read the result.
//
//   blocks [--rounds N] [--dir PATH] [--library PATH]
//
// Exit status: 0 where every line passes, 1 where one misses, 2 on an error.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/bench/child.h"

namespace taskmem::bench {
namespace {

constexpr double kGetBarNanoseconds = 200;
constexpr double kSpeedBar = 0.8;
constexpr double kMiBs = 1024;

using Figures = std::map<std::string, std::vector<double>>;

Outcome Require(const Command& command, const Configuration& configuration) {
  Outcome outcome = Run(command, configuration);
  if (!outcome.failure.empty()) {
    Fail(command.arguments[0] + ": " + outcome.failure + "\n" + outcome.errors);
  }
  return outcome;
}

void Note(const std::string& prefix, const std::string& output, Figures* figures) {
  std::istringstream lines(output);
  std::string name;
  double figure;
  while (lines >> name >> figure) (*figures)[prefix + name].push_back(figure);
}

// Writes 1 GiB of random bytes (`source`) with dd, and notes the seconds.
void RunDd(const std::string& name, const std::string& source, const std::string& target,
           const std::vector<std::string>& more, Figures* figures) {
  Command command = {{"/bin/dd", "if=" + source, "of=" + target, "bs=1M", "count=1024"}, {}};
  command.arguments.insert(command.arguments.end(), more.begin(), more.end());
  const Outcome outcome = Require(command, {"plain", "", {}});
  (*figures)[name].push_back(outcome.wall_seconds);
  std::filesystem::remove(target);
  sync();  // not in the next one's time
}

void RunEvict(const std::string& name, const std::string& child, const std::string& library,
              const std::string& dir, const std::string& fsync, Figures* figures) {
  const Configuration configuration = {
      name,
      library,
      {"TASKMEM_MEMORY=1100M", "TASKMEM_SPILL_DIR=" + dir, "TASKMEM_SPILL_FSYNC=" + fsync,
       "TASKMEM_TASK_BY=thread-name=^none$", "TASKMEM_OVERFLOW=0"}};
  Note(name + "-", Require({{child, "evict"}, {}}, configuration).output, figures);
  sync();
}

bool PrintCost(const char* sentence, const char* name, bool has_bar, Figures& figures) {
  const double cost = Median(figures[name]);
  const bool pass = !has_bar || cost < kGetBarNanoseconds;
  std::printf("%-36s %9.1f ns", sentence, cost);
  if (has_bar) std::printf("  %s (below %.0f)", pass ? "PASS" : "MISS", kGetBarNanoseconds);
  std::printf("\n");
  return pass;
}

bool PrintSpeed(const char* sentence, const char* name, const char* compared, bool has_bar,
                Figures& figures) {
  const double speed = kMiBs / Median(figures[name]);
  const double dd = kMiBs / Median(figures[compared]);
  std::printf("%-36s %9.0f MiB/s, dd %.0f, ratio %.2f", sentence, speed, dd, speed / dd);
  const bool pass = !has_bar || speed >= kSpeedBar * dd;
  if (has_bar) std::printf("  %s (at least %.2f)", pass ? "PASS" : "MISS", kSpeedBar);
  std::printf("\n");
  return pass;
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  using namespace taskmem::bench;
  Flags flags(argc, argv);
  const uint64_t rounds = TakeNumber(flags, "rounds", 3, 1);
  const std::string dir = flags.Take("dir").value_or("/var/tmp/taskmem-bench-blocks");
  const std::string library = TakeTaskmemLibrary(flags);
  RequireNoFlagsLeft(flags);
  const std::string child = FindBuilt("tests/bench/blocks_child");
  if (child.empty()) Fail("the program `blocks_child` is not in this build");
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) Fail("cannot make " + dir + ": " + error.message());

  // dd reads what lies in the page cache: like the blocks, it is in memory already.
  const std::string source = dir + "/source";
  Figures figures;
  Require({{"/bin/dd", "if=/dev/urandom", "of=" + source, "bs=1M", "count=1024"}, {}},
          {"plain", "", {}});
  sync();
  for (uint64_t round = 0; round < rounds; ++round) {
    Note("", Require({{child, "get"}, {}}, {"get", library, {}}).output, &figures);
    RunDd("dd", source, dir + "/copy", {}, &figures);
    RunEvict("buffered", child, library, dir, "off", &figures);
    RunDd("dd-fsync", source, dir + "/copy", {"conv=fsync"}, &figures);
    RunEvict("fsync", child, library, dir, "on", &figures);
    RunDd("dd-dsync", source, dir + "/copy", {"oflag=dsync"}, &figures);
  }
  std::filesystem::remove(source);
  std::filesystem::remove(dir, error);

  bool pass = PrintCost("get, 100 blocks", "get-few", true, figures);
  pass &= PrintCost("get, 100 blocks, in a task", "get-few-in-task", true, figures);
  PrintCost("get, 10,000 blocks", "get-many", false, figures);
  PrintCost("release, 100 blocks", "release-few", false, figures);
  pass &= PrintSpeed("evict 1 GiB of 1 MiB blocks", "buffered-evict", "dd", true, figures);
  pass &= PrintSpeed("  with fsync, against oflag=dsync", "fsync-evict", "dd-dsync", true, figures);
  PrintSpeed("  with fsync, against conv=fsync", "fsync-evict", "dd-fsync", false, figures);
  return pass ? 0 : 1;
}
