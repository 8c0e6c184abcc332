// Times allocation-heavy programs under several allocators and under taskmem,
// and holds taskmem against its bar. README.md says how to read the result.
//
//   bench [--rounds N] [--only PROGRAM] [--library PATH] [--configs A,B,...]
//         [--peer NAME=PATH,...] [--judge wall|cpu] [--json FILE]
//
// Exit status: 0 where every line passes, 1 where one misses, 2 on an error.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "tests/bench/child.h"
#include "tests/bench/programs.h"

namespace taskmem::bench {
namespace {

// The bar, in ratios to libmimalloc: time, and peak resident memory.
constexpr double kMaxTimeMean = 1.02;
constexpr double kMaxMemoryMean = 1.03;

constexpr char kReference[] = "mimalloc";
constexpr char kAllConfigurations[] =
    "glibc,mimalloc,jemalloc,tcmalloc,taskmem-process,taskmem-thread";

struct Samples {
  std::vector<double> wall;    // seconds
  std::vector<double> cpu;     // seconds
  std::vector<double> memory;  // MiB
  std::string failure;         // of the first run that failed
};

// By the configuration's name.
using ProgramResults = std::map<std::string, Samples>;

bool IsTaskmem(const Configuration& configuration) {
  return configuration.name.starts_with("taskmem");
}

std::vector<Configuration> MakeConfigurations(Flags& flags, std::vector<std::string>* notes) {
  const std::vector<std::string> wanted =
      Split(flags.Take("configs").value_or(kAllConfigurations), ',');
  const std::map<std::string, std::string> libraries = {{"mimalloc", "libmimalloc.so.2"},
                                                        {"jemalloc", "libjemalloc.so.2"},
                                                        {"tcmalloc", "libtcmalloc_minimal.so.4"}};
  std::string taskmem;
  std::vector<Configuration> result;
  for (const std::string& name : wanted) {
    if (name == "glibc") {
      result.push_back({name, "", {}});
    } else if (const auto library = libraries.find(name); library != libraries.end()) {
      const std::string path = FindSystemLibrary(library->second);
      if (path.empty()) {
        notes->push_back(name + ": skipped, no " + library->second + " here");
      } else {
        result.push_back({name, path, {}});
      }
    } else if (name == "taskmem-process" || name == "taskmem-thread") {
      if (taskmem.empty()) taskmem = TakeTaskmemLibrary(flags);
      result.push_back(TaskmemConfiguration(name, taskmem, name.substr(sizeof("taskmem-") - 1)));
    } else {
      Fail("--configs: no configuration is called " + name);
    }
  }
  const std::string peers = flags.Take("peer").value_or("");
  for (const std::string& peer : peers.empty() ? std::vector<std::string>() : Split(peers, ',')) {
    const size_t end = peer.find('=');
    if (end == std::string::npos || end == 0) Fail("--peer expects NAME=PATH, not " + peer);
    const std::string path = peer.substr(end + 1);
    if (access(path.c_str(), R_OK) != 0) Fail("--peer: cannot read " + path);
    result.push_back({peer.substr(0, end), path, {}});
  }
  return result;
}

// One run of a program. `expected` is the output of its first run: a program
// that prints something else under another allocator has not done its work.
void Measure(const Program& program, const Configuration& configuration, Samples* samples,
             std::string* expected) {
  const Outcome outcome = Run(program.command, configuration);
  std::string failure = outcome.failure;
  if (failure.empty() && expected->empty()) *expected = outcome.output;
  if (failure.empty() && outcome.output != *expected) failure = "another result than elsewhere";
  if (!failure.empty()) {
    if (samples->failure.empty()) samples->failure = failure + "\n" + outcome.errors;
    return;
  }
  samples->wall.push_back(outcome.wall_seconds);
  samples->cpu.push_back(outcome.cpu_seconds);
  samples->memory.push_back(static_cast<double>(outcome.peak_resident_bytes) / (1 << 20));
}

// Every configuration once a round, each round beginning with another one, so
// that a slow minute of the machine falls on all of them.
ProgramResults MeasureProgram(const Program& program,
                              const std::vector<Configuration>& configurations, uint64_t rounds) {
  ProgramResults results;
  std::string expected;
  for (uint64_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < configurations.size(); ++i) {
      const Configuration& configuration = configurations[(i + round) % configurations.size()];
      Measure(program, configuration, &results[configuration.name], &expected);
    }
  }
  return results;
}

struct Means {
  std::vector<double> wall, cpu, memory;
  bool failed = false;
};

// Prints a program's line under one configuration; false where it misses. Only
// taskmem has a bar.
bool PrintLine(const Program& program, const Configuration& configuration, const Samples& samples,
               const Samples& reference, bool judge_cpu, Means* means) {
  if (!samples.failure.empty()) {
    std::printf("%-9s %-16s FAILED: %s\n", program.name.c_str(), configuration.name.c_str(),
                samples.failure.c_str());
    means->failed = true;
    return !IsTaskmem(configuration);
  }
  const double wall = Median(samples.wall);
  const double cpu = Median(samples.cpu);
  const double memory = Median(samples.memory);
  const auto [fastest, slowest] = std::minmax_element(samples.wall.begin(), samples.wall.end());
  std::printf("%-9s %-16s %8.3f %6.0f%% %8.3f %9.1f", program.name.c_str(),
              configuration.name.c_str(), wall, (*slowest - *fastest) / wall * 100, cpu, memory);
  bool pass = true;
  if (!reference.wall.empty()) {
    const double wall_ratio = wall / Median(reference.wall);
    const double cpu_ratio = cpu / Median(reference.cpu);
    const double memory_ratio = memory / Median(reference.memory);
    if (program.is_in_means) {
      means->wall.push_back(wall_ratio);
      means->cpu.push_back(cpu_ratio);
      means->memory.push_back(memory_ratio);
    }
    std::printf(" %7.3f %7.3f %7.3f", wall_ratio, cpu_ratio, memory_ratio);
    if (IsTaskmem(configuration)) {
      pass = (judge_cpu ? cpu_ratio : wall_ratio) <= program.max_time &&
             memory_ratio <= program.max_memory;
      std::printf("  %s", pass ? "PASS" : "MISS");
    }
  }
  std::printf("\n");
  return pass;
}

bool PrintMeans(const Configuration& configuration, const Means& means, bool judge_cpu) {
  if (means.wall.empty()) return true;
  const double wall = GeometricMean(means.wall);
  const double cpu = GeometricMean(means.cpu);
  const double memory = GeometricMean(means.memory);
  std::printf("%-9s %-16s %8s %7s %8s %9s %7.3f %7.3f %7.3f", "geomean", configuration.name.c_str(),
              "", "", "", "", wall, cpu, memory);
  bool pass = true;
  if (IsTaskmem(configuration)) {
    pass = !means.failed && (judge_cpu ? cpu : wall) <= kMaxTimeMean && memory <= kMaxMemoryMean;
    std::printf("  %s", pass ? "PASS" : "MISS");
  }
  std::printf("\n");
  return pass;
}

void PrintJsonNumbers(FILE* file, const char* name, const std::vector<double>& values) {
  std::fprintf(file, "\"%s\": [", name);
  for (size_t i = 0; i < values.size(); ++i) {
    std::fprintf(file, "%s%.4f", i == 0 ? "" : ", ", values[i]);
  }
  std::fprintf(file, "]");
}

void PrintJson(FILE* file, const std::string& program, const ProgramResults& results) {
  for (const auto& [configuration, samples] : results) {
    std::fprintf(file, "{\"program\": \"%s\", \"configuration\": \"%s\", ", program.c_str(),
                 configuration.c_str());
    PrintJsonNumbers(file, "wall_seconds", samples.wall);
    std::fprintf(file, ", ");
    PrintJsonNumbers(file, "cpu_seconds", samples.cpu);
    std::fprintf(file, ", ");
    PrintJsonNumbers(file, "peak_resident_mib", samples.memory);
    std::fprintf(file, ", \"failed\": %s}\n", samples.failure.empty() ? "false" : "true");
  }
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  using namespace taskmem::bench;
  Flags flags(argc, argv);
  std::vector<std::string> notes;
  const uint64_t rounds = TakeNumber(flags, "rounds", 5, 1);
  const std::string only = flags.Take("only").value_or("");
  const std::string judge = flags.Take("judge").value_or("wall");
  if (judge != "wall" && judge != "cpu") Fail("--judge expects wall or cpu");
  const std::string json_path = flags.Take("json").value_or("");
  const std::vector<Configuration> configurations = MakeConfigurations(flags, &notes);
  RequireNoFlagsLeft(flags);
  const std::vector<Program> programs = MakePrograms(only, &notes);
  FILE* json = json_path.empty() ? nullptr : std::fopen(json_path.c_str(), "w");
  if (!json_path.empty() && json == nullptr) Fail("--json: cannot write " + json_path);

  setlinebuf(stdout);
  for (const std::string& note : notes) std::printf("%s\n", note.c_str());
  std::printf("%-9s %-16s %8s %7s %8s %9s %7s %7s %7s\n", "program", "configuration", "wall s",
              "spread", "cpu s", "peak MiB", "wall x", "cpu x", "mem x");
  std::map<std::string, Means> means;
  bool pass = true;
  for (const Program& program : programs) {
    ProgramResults results = MeasureProgram(program, configurations, rounds);
    const Samples reference = results[kReference];  // empty where it was not asked for
    for (const Configuration& configuration : configurations) {
      pass &= PrintLine(program, configuration, results[configuration.name], reference,
                        judge == "cpu", &means[configuration.name]);
    }
    if (json != nullptr) PrintJson(json, program.name, results);
  }
  RemoveProgramFiles();
  for (const Configuration& configuration : configurations) {
    pass &= PrintMeans(configuration, means[configuration.name], judge == "cpu");
  }
  if (json != nullptr) std::fclose(json);
  return pass ? 0 : 1;
}
