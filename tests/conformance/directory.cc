#include "tests/conformance/directory.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "tests/conformance/operations.h"
#include "tests/conformance/replay.h"
#include "tests/conformance/trace.h"

namespace taskmem::conformance {
namespace {

constexpr std::chrono::seconds kBetweenProgressLines{5};

std::vector<std::filesystem::path> FindTraces(const std::filesystem::path& directory) {
  namespace fs = std::filesystem;
  if (fs::is_regular_file(directory)) return {directory};
  std::vector<fs::path> paths;
  constexpr auto kOptions = fs::directory_options::follow_directory_symlink;
  for (const auto& entry : fs::recursive_directory_iterator(directory, kOptions)) {
    // What looks like a trace and is no file shall be complained about.
    if (IsTraceFile(entry.path()) && !entry.is_directory()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

int64_t Totals::AllSkipped() const {
  int64_t all = 0;
  for (const auto& [reason, count] : skipped) all += count;
  return all;
}

Totals ReplayDirectory(const std::filesystem::path& directory, std::ostream& out,
                       std::ostream& progress) {
  const std::vector<std::filesystem::path> paths = FindTraces(directory);
  Totals totals;
  auto last_progress = std::chrono::steady_clock::now();
  for (const std::filesystem::path& path : paths) {
    ++totals.traces;
    try {
      Trace trace = ReadTrace(path);
      if (const char* const reason = ReasonToSkip(trace)) {
        ++totals.skipped[reason];
      } else {
        const ReplayResult result = Replay(std::move(trace));
        totals.steps += result.steps;
        totals.left_thread_behind |= result.left_thread_behind;
        if (!result.mismatch.empty()) {
          ++totals.mismatches;
          out << "mismatch in " << path.native() << "\n" << result.mismatch << std::flush;
        }
      }
    } catch (const std::exception& error) {
      ++totals.unreadable;
      out << "cannot read " << path.native() << ": " << error.what() << std::endl;
    }
    if (std::chrono::steady_clock::now() - last_progress > kBetweenProgressLines) {
      last_progress = std::chrono::steady_clock::now();
      progress << totals.traces << " of " << paths.size() << " traces" << std::endl;
    }
  }
  return totals;
}

void WriteTotals(const Totals& totals, std::ostream& out) {
  for (const auto& [reason, count] : totals.skipped) {
    out << "skipped, " << reason << ": " << count << "\n";
  }
  if (totals.unreadable > 0) out << "could not be read: " << totals.unreadable << "\n";
  if (totals.traces == 0) out << "there are no traces\n";
  out << "traces " << totals.traces << ", steps " << totals.steps << ", mismatches "
      << totals.mismatches << ", skipped " << totals.AllSkipped() << std::endl;
}

}  // namespace taskmem::conformance
