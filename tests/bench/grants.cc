// What it costs to draw memory from the pools, and whether threads get into each other's
// way at their lock. README.md says how to read the result.
//
//   grants [--rounds N] [--library PATH]
//
// Exit status: 0 where every line passes, 1 where one misses, 2 on an error.
#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/child.h"
#include "tests/bench/ledger.h"

namespace taskmem::bench {
namespace {

// The bars. Growth and gain are against one thread; the ratio is to libmimalloc.
constexpr double kMaxAcquireReleaseNanoseconds = 100;
constexpr double kMaxCpuGrowth = 1.25;
constexpr double kMinGainOfSecondThread = 1.7;
constexpr double kMaxProgramCpuRatio = 1.10;

constexpr int kThreadCounts[] = {1, 2, 16, 64};

int Processors() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

enum class Verdict { kPass, kMiss, kBusy };

// What the driver ends with: the worst of all lines.
int g_exit_status = 0;

void PrintVerdict(Verdict verdict) {
  constexpr const char* kWords[] = {"PASS", "MISS", "not judged: the processors had other work"};
  std::printf("  %s\n", kWords[static_cast<int>(verdict)]);
  g_exit_status = std::max(g_exit_status, static_cast<int>(verdict));
}

void PrintVerdict(bool pass) { PrintVerdict(pass ? Verdict::kPass : Verdict::kMiss); }

void PrintAcquireRelease(uint64_t rounds) {
  constexpr uint64_t kPairs = 2'000'000;
  std::printf("UnifiedMemoryManager, one thread, ns\n");
  for (const bool holds_more : {true, false}) {
    std::vector<double> costs;
    for (uint64_t round = 0; round < rounds; ++round) {
      costs.push_back(MeasureAcquireRelease(holds_more, kPairs));
    }
    const double cost = Median(costs);
    std::printf("%-44s %7.1f",
                holds_more ? "acquire and release" : "the same, the task's first and last", cost);
    PrintVerdict(cost < kMaxAcquireReleaseNanoseconds);
  }
}

double WantedProcessors(int threads) { return 0.9 * std::min(threads, Processors()); }

// Threads that were given fewer processors than they can use say nothing about each other:
// such a measurement is made again, a few times.
ChargeCost MeasureUndisturbed(ChargePath path, const ChargeLoad& load) {
  constexpr int kTries = 20;
  const double wanted = WantedProcessors(load.threads);
  ChargeCost best = MeasureCharges(path, load);
  for (int i = 1; i < kTries && best.processors < wanted; ++i) {
    const ChargeCost next = MeasureCharges(path, load);
    if (next.processors > best.processors) best = next;
  }
  return best;
}

struct Charges {
  std::vector<double> cpu;         // ns
  std::vector<double> throughput;  // charges per second
  std::vector<double> processors;
  double pool_entries = 0;
};

constexpr ChargePath kPaths[] = {ChargePath::kBook, ChargePath::kGrants, ChargePath::kEveryCharge};

// The three paths in turn, each round beginning with another one.
void MeasureRow(const ChargeLoad& load, uint64_t rounds, Charges (&rows)[3]) {
  for (uint64_t round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < 3; ++i) {
      const size_t at = (i + round) % 3;
      ChargeLoad its = load;
      if (kPaths[at] == ChargePath::kEveryCharge) its.charges /= 8;
      const ChargeCost cost = MeasureUndisturbed(kPaths[at], its);
      rows[at].cpu.push_back(cost.cpu_nanoseconds);
      rows[at].throughput.push_back(cost.charges_per_second);
      rows[at].processors.push_back(cost.processors);
      rows[at].pool_entries = cost.pool_entries;
    }
  }
}

// Against a row of one thread.
Verdict JudgeCharges(int threads, const Charges& grants, const Charges& of_one_thread) {
  if (Median(grants.processors) < WantedProcessors(threads)) return Verdict::kBusy;
  const double growth = Median(grants.cpu) / Median(of_one_thread.cpu);
  const double gain = Median(grants.throughput) / Median(of_one_thread.throughput);
  const bool must_gain = threads == 2 && Processors() >= 2;
  const bool pass = growth <= kMaxCpuGrowth && (!must_gain || gain >= kMinGainOfSecondThread);
  return pass ? Verdict::kPass : Verdict::kMiss;
}

void PrintCharges(bool shares_task, uint64_t most_bytes, uint64_t rounds) {
  std::printf("\n%s, up to %llu KiB a thread, in steps of 4 KiB\n",
              shares_task ? "all threads in one task" : "a task for every thread",
              static_cast<unsigned long long>(most_bytes >> 10));
  std::printf("%7s | %-26s | %-26s | %-12s |\n", "", "cpu ns, charge and credit",
              "million charges a second", "pool entries");
  std::printf("%7s | %8s %8s %8s | %8s %8s %8s | %12s | %s\n", "threads", "book", "grants", "every",
              "book", "grants", "every", "a million", "cores");
  Charges of_one_thread;
  for (const int threads : kThreadCounts) {
    Charges rows[3];
    MeasureRow({threads, shares_task, most_bytes, 8'000'000}, rounds, rows);
    const Charges& grants = rows[1];
    if (threads == 1) of_one_thread = grants;
    std::printf("%7d |", threads);
    for (const Charges& row : rows) std::printf(" %8.1f", Median(row.cpu));
    std::printf(" |");
    for (const Charges& row : rows) std::printf(" %8.1f", Median(row.throughput) / 1e6);
    std::printf(" | %12.0f | %5.2f", grants.pool_entries, Median(grants.processors));
    if (shares_task || threads == 1) {
      std::printf("\n");
    } else {
      PrintVerdict(JudgeCharges(threads, grants, of_one_thread));
    }
  }
}

struct ProgramLoad {
  const char* sentence;
  std::vector<std::string> arguments;  // of grants_child, after THREADS
  bool has_bar;
};

void PrintProgram(const ProgramLoad& load, const std::string& child,
                  const std::vector<Configuration>& configurations, uint64_t rounds) {
  std::printf("\n%s: cpu seconds\n%7s", load.sentence, "threads");
  for (const Configuration& configuration : configurations) {
    std::printf(" | %22s", configuration.name.c_str());
  }
  std::printf("\n");
  for (const int threads : kThreadCounts) {
    Command command = {{child, std::to_string(threads)}, {}};
    command.arguments.insert(command.arguments.end(), load.arguments.begin(), load.arguments.end());
    command.disable_huge_pages = true;
    std::vector<std::vector<double>> cpu(configurations.size());
    std::string expected;
    for (uint64_t round = 0; round < rounds; ++round) {
      for (size_t i = 0; i < configurations.size(); ++i) {
        const size_t at = (i + round) % configurations.size();
        const Outcome outcome = Run(command, configurations[at]);
        if (expected.empty()) expected = outcome.output;
        if (!outcome.failure.empty() || outcome.output != expected) {
          Fail(configurations[at].name + ": " + outcome.failure + "\n" + outcome.errors);
        }
        cpu[at].push_back(outcome.cpu_seconds);
      }
    }
    std::printf("%7d", threads);
    bool pass = true;
    for (size_t i = 0; i < configurations.size(); ++i) {
      const double ratio = Median(cpu[i]) / Median(cpu[0]);
      std::printf(" | %13.3f %7.3fx", Median(cpu[i]), ratio);
      pass &= ratio <= kMaxProgramCpuRatio;
    }
    if (load.has_bar) {
      PrintVerdict(pass);
    } else {
      std::printf("\n");
    }
  }
}

void PrintPrograms(Flags& flags, uint64_t rounds) {
  const std::string library = TakeTaskmemLibrary(flags);
  RequireNoFlagsLeft(flags);
  const std::string mimalloc = FindSystemLibrary("libmimalloc.so.2");
  const std::string child = FindBuilt("tests/bench/grants_child");
  if (child.empty()) Fail("the program `grants_child` is not in this build");
  if (mimalloc.empty()) Fail("no libmimalloc.so.2 here");
  const std::vector<Configuration> configurations = {
      {"mimalloc", mimalloc, {}},
      {"taskmem, one task", library, {"TASKMEM_TASK_BY=process"}},
      {"a task for each thread", library, {"TASKMEM_TASK_BY=thread"}},
  };
  const ProgramLoad loads[] = {
      {"a program with 0 to 64 blocks of 4 to 64 KiB for every thread",
       {"64", "4096", "65536", "4000000"},
       true},
      {"a program with 0 to 2 blocks of 128 KiB to 1 MiB for every thread",
       {"2", "131073", "1048576", "400000"},
       false},
  };
  for (const ProgramLoad& load : loads) PrintProgram(load, child, configurations, rounds);
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  using namespace taskmem::bench;
  Flags flags(argc, argv);
  const uint64_t rounds = TakeNumber(flags, "rounds", 5, 1);
  setlinebuf(stdout);
  PrintAcquireRelease(rounds);
  for (const bool shares_task : {false, true}) {
    for (const uint64_t most_bytes : {uint64_t{16} << 20, uint64_t{256} << 10}) {
      PrintCharges(shares_task, most_bytes, rounds);
    }
  }
  PrintPrograms(flags, rounds);
  return g_exit_status;
}
