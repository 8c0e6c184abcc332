// Holds what taskmem charges against what is live and what is resident, for
// many threads that work for many tasks. README.md says how to read the result.
//
//   charge [--rows 16x50x20,...] [--live-mib N] [--max-bytes N] [--library PATH]
//
// Exit status: 0 where every line passes, 1 where one misses, 2 on an error.
#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "tests/bench/charge_protocol.h"
#include "tests/bench/child.h"

namespace taskmem::bench {
namespace {

// The bar. While everything is live:
constexpr double kMinChargeToResident = 0.95;
constexpr double kMaxChargeToResident = 1.06;
constexpr double kMaxResidentToMimalloc = 1.08;
// Once other threads have freed half of it:
constexpr double kMaxChargeToMimalloc = 1.15;

constexpr char kRows[] =
    "16x50x20,64x50x10,64x50x100,8x8x2000,1x1x100000,4x1000x10,64x1000x2,64x1000x10";
constexpr uint64_t kLargestBlock = 1 << 20;
// A row of one thread and one task is about small blocks: their pages.
constexpr uint64_t kLargestSmallBlock = 1024;

struct Row {
  uint64_t threads;
  uint64_t tasks;
  uint64_t blocks;
  uint64_t max_bytes;
};

struct Phase {
  uint64_t live;
  uint64_t resident;
  uint64_t charged;
  uint64_t wrong_owners;
};

using Phases = std::map<std::string, Phase>;

// The largest power of two with which the row is expected to stay below
// `live_bytes`. Evenly spread exponents have the mean (max - min) / ln(max / min).
uint64_t LargestBlock(const Row& row, uint64_t largest, uint64_t live_bytes) {
  const double blocks = static_cast<double>(row.threads * row.tasks * row.blocks);
  for (uint64_t bytes = largest; bytes > 4 * kMinBlockBytes; bytes /= 2) {
    const double mean = static_cast<double>(bytes - kMinBlockBytes) /
                        std::log(static_cast<double>(bytes) / kMinBlockBytes);
    if (blocks * mean <= static_cast<double>(live_bytes)) return bytes;
  }
  return 4 * kMinBlockBytes;
}

Row ParseRow(const std::string& text, uint64_t largest, uint64_t live_bytes) {
  Row row = {};
  char rest;
  if (std::sscanf(text.c_str(), "%" SCNu64 "x%" SCNu64 "x%" SCNu64 "%c", &row.threads, &row.tasks,
                  &row.blocks, &rest) != 3 ||
      row.threads == 0 || row.tasks == 0 || row.blocks == 0) {
    Fail("--rows expects THREADSxTASKSxBLOCKS, not " + text);
  }
  if (row.threads * row.tasks == 1) largest = std::min(largest, kLargestSmallBlock);
  row.max_bytes = LargestBlock(row, largest, live_bytes);
  return row;
}

std::optional<Phases> RunChild(const std::string& child, const Row& row,
                               const Configuration& configuration) {
  Command command;
  command.arguments = {child, std::to_string(row.threads), std::to_string(row.tasks),
                       std::to_string(row.blocks), std::to_string(row.max_bytes)};
  command.disable_huge_pages = true;
  const Outcome outcome = Run(command, configuration);
  Phases phases;
  std::istringstream lines(outcome.output);
  for (std::string line; std::getline(lines, line);) {
    char name[32];
    Phase phase;
    if (std::sscanf(line.c_str(), kPhaseScan, name, &phase.live, &phase.resident, &phase.charged,
                    &phase.wrong_owners) == 5) {
      phases[name] = phase;
    }
  }
  if (outcome.failure.empty() && phases.size() == 4) return phases;
  std::printf("  %s FAILED: %s\n%s", configuration.name.c_str(), outcome.failure.c_str(),
              outcome.errors.c_str());
  return std::nullopt;
}

double MiB(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

double Ratio(uint64_t part, uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole == 0 ? 1 : whole);
}

// Prints a phase's line but for its verdict.
void PrintPhase(const char* name, const Phase& mimalloc, const Phase& taskmem) {
  std::printf("  %-12s %9.1f %9.1f %9.1f %9.1f %8.3f %8.3f %8.3f", name, MiB(taskmem.live),
              MiB(mimalloc.resident), MiB(taskmem.resident), MiB(taskmem.charged),
              Ratio(taskmem.charged, taskmem.resident), Ratio(taskmem.resident, mimalloc.resident),
              Ratio(taskmem.charged, mimalloc.resident));
}

bool PrintVerdict(bool pass, const Phase& taskmem) {
  std::printf("  %s", pass ? "PASS" : "MISS");
  if (taskmem.charged < taskmem.live) std::printf(" (charged less than live)");
  if (taskmem.wrong_owners > 0) std::printf(" (%" PRIu64 " wrong owners)", taskmem.wrong_owners);
  std::printf("\n");
  return pass;
}

bool PrintRow(Phases mimalloc, Phases taskmem) {
  bool pass = true;
  const auto right = [](const Phase& phase) {
    return phase.charged >= phase.live && phase.wrong_owners == 0;
  };

  const Phase& live = taskmem[kAllLive];
  PrintPhase(kAllLive, mimalloc[kAllLive], live);
  const double charge = Ratio(live.charged, live.resident);
  pass &= PrintVerdict(
      right(live) && charge >= kMinChargeToResident && charge <= kMaxChargeToResident &&
          Ratio(live.resident, mimalloc[kAllLive].resident) <= kMaxResidentToMimalloc,
      live);

  const Phase& half = taskmem[kHalfFreed];
  PrintPhase(kHalfFreed, mimalloc[kHalfFreed], half);
  pass &= PrintVerdict(
      right(half) && Ratio(half.charged, mimalloc[kHalfFreed].resident) <= kMaxChargeToMimalloc,
      half);

  // What a heap keeps for its next block has no bar; it is shown.
  for (const char* name : {kAllFreed, kTasksEnded}) {
    const Phase& end = taskmem[name];
    std::printf("  %-12s %9.1f %9.1f %9.1f %9.1f\n", name, MiB(end.live),
                MiB(mimalloc[name].resident), MiB(end.resident), MiB(end.charged));
  }
  return pass;
}

}  // namespace
}  // namespace taskmem::bench

int main(int argc, char** argv) {
  using namespace taskmem::bench;
  Flags flags(argc, argv);
  const uint64_t live_bytes = TakeNumber(flags, "live-mib", 3072, 1) << 20;
  const uint64_t largest = TakeNumber(flags, "max-bytes", kLargestBlock, 4 * kMinBlockBytes);
  std::vector<Row> rows;
  for (const std::string& text : Split(flags.Take("rows").value_or(kRows), ',')) {
    rows.push_back(ParseRow(text, largest, live_bytes));
  }
  const Configuration taskmem =
      TaskmemConfiguration("taskmem", TakeTaskmemLibrary(flags), "process");
  RequireNoFlagsLeft(flags);
  const Configuration mimalloc = {"mimalloc", FindSystemLibrary("libmimalloc.so.2"), {}};
  if (mimalloc.preload.empty()) Fail("no libmimalloc.so.2 here to compare with");
  const std::string child = FindBuilt("tests/bench/charge_child");
  if (child.empty()) Fail("the program `charge_child` is not in this build");

  setlinebuf(stdout);
  std::printf("%-14s %9s %9s %9s %9s %8s %8s %8s\n", "", "live", "mimalloc", "taskmem", "",
              "charge/", "taskmem/", "charge/");
  std::printf("%-14s %9s %9s %9s %9s %8s %8s %8s\n", "MiB", "requested", "resident", "resident",
              "charged", "resident", "mimalloc", "mimalloc");
  bool pass = true;
  for (const Row& row : rows) {
    std::printf("%" PRIu64 " threads x %" PRIu64 " tasks x %" PRIu64 " blocks of %" PRIu64
                " to %" PRIu64 " bytes\n",
                row.threads, row.tasks, row.blocks, kMinBlockBytes, row.max_bytes);
    const std::optional<Phases> plain = RunChild(child, row, mimalloc);
    const std::optional<Phases> charged = RunChild(child, row, taskmem);
    if (!plain || !charged) {
      pass = false;
    } else if (charged->at(kAllLive).charged == kNoAnswer) {
      std::printf("  MISS: the library has no books for these tasks\n");
      pass = false;
    } else {
      pass &= PrintRow(*plain, *charged);
    }
  }
  return pass ? 0 : 1;
}
