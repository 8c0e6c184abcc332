#include <fmt/format.h>

#include "tools/base/text_table.h"
#include "tools/base/units.h"
#include "tools/stats/report.h"

namespace taskmem {
namespace {

constexpr size_t kMaxLines = 20;
constexpr size_t kNameColumns = 24;

std::string Milliseconds(uint64_t ns) {
  return fmt::format("{:.1f} ms", static_cast<double>(ns) / 1e6);
}

std::string Times(uint64_t count) { return count == 1 ? "once" : fmt::format("{} times", count); }

// Each thing that was done, and nothing of what was not.
std::string Describe(const ReclaimStats& reclaim) {
  std::vector<std::string> parts;
  if (reclaim.spill_calls != 0) {
    parts.push_back(fmt::format("hooks freed {} of {} they were asked for, {}",
                                HumanBytes(reclaim.spill_freed_bytes),
                                HumanBytes(reclaim.spill_asked_bytes), Times(reclaim.spill_calls)));
  }
  if (reclaim.soft_spill_calls != 0) {
    parts.push_back(fmt::format("at the soft limit hooks freed {} of {} they were asked for, {}",
                                HumanBytes(reclaim.soft_spill_freed_bytes),
                                HumanBytes(reclaim.soft_spill_asked_bytes),
                                Times(reclaim.soft_spill_calls)));
  }
  if (reclaim.evicted_blocks != 0) {
    parts.push_back(fmt::format("evicted {} in {} block{}", HumanBytes(reclaim.evicted_bytes),
                                reclaim.evicted_blocks, reclaim.evicted_blocks == 1 ? "" : "s"));
  }
  if (reclaim.written_bytes != 0) {
    parts.push_back(fmt::format("wrote {}", HumanBytes(reclaim.written_bytes)));
  }
  if (reclaim.read_bytes != 0) {
    parts.push_back(fmt::format("read {} back", HumanBytes(reclaim.read_bytes)));
  }
  if (reclaim.peak_overflow_bytes != 0) {
    parts.push_back(
        fmt::format("overflow {}, peak {}, out {}, back {}", HumanBytes(reclaim.overflow_bytes),
                    HumanBytes(reclaim.peak_overflow_bytes), HumanBytes(reclaim.pushed_out_bytes),
                    HumanBytes(reclaim.returned_bytes)));
  }
  if (reclaim.waits != 0) {
    parts.push_back(
        fmt::format("waited {}, {}", Times(reclaim.waits), Milliseconds(reclaim.wait_ns)));
  }
  // Collecting alone is no news.
  if (parts.empty()) return "";
  parts.push_back(fmt::format("stalled {}, {}, longest {}", Times(reclaim.stalls),
                              Milliseconds(reclaim.stall_ns),
                              Milliseconds(reclaim.longest_stall_ns)));
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace

std::string FormatReclaim(const std::vector<TaskStats>& tasks, size_t columns) {
  std::string text;
  size_t lines = 0;
  size_t more = 0;
  for (const TaskStats& task : tasks) {
    const std::string what = Describe(task.reclaim);
    if (what.empty()) continue;
    if (lines == kMaxLines) {
      ++more;
      continue;
    }
    ++lines;
    text += ReportLine(fmt::format("  {}: {}", Shortened(task.name, kNameColumns), what), columns);
  }
  if (more != 0) text += fmt::format("  … {} more tasks had room made for them\n", more);
  return text;
}

}  // namespace taskmem
