#include "tools/cli/set_command.h"

#include <cstdlib>
#include <vector>

#include "shim/options/option_table.h"
#include "shim/options/options.h"
#include "shim/options/value_text.h"
#include "tools/base/message.h"
#include "tools/base/task_id.h"
#include "tools/base/units.h"
#include "tools/cli/environment_options.h"
#include "tools/control/process_control.h"
#include "tools/stats/stats_dirs.h"

namespace taskmem {
namespace {

constexpr size_t kWordColumns = 40;
constexpr char kASize[] = "a size above 0 such as 64M, or none";

uint64_t TaskOf(const std::string& text, const char* option) {
  const auto id = ParseTaskId(text);
  if (id) return *id;
  Fatal(kExitUsage, "bad value '{}' for {}: expected a task's id such as 7 or 'tid 4711'",
        Printable(text, kWordColumns), option);
}

uint64_t SizeOf(const std::string& text, const char* option, const char* expected) {
  uint64_t bytes = 0;
  if (ParseBytes(text.c_str(), &bytes) && bytes != 0) return bytes;
  Fatal(kExitUsage, "bad value '{}' for {}: expected {}", Printable(text, kWordColumns), option,
        expected);
}

uint64_t ActionOf(const std::string& text) {
  Options options;
  for (size_t i = 0; i < kOptionCount; ++i) {
    const OptionInfo& option = kOptions[i];
    if (std::string_view(option.name) != "at-limit") continue;
    if (option.parse(text.c_str(), &options)) return static_cast<uint64_t>(options.at_limit);
    Fatal(kExitUsage, "bad value '{}' for --at-limit: expected {}", Printable(text, kWordColumns),
          option.expected);
  }
  abort();
}

// In the order in which they are asked for.
std::vector<Change> ChangesOf(const SetRequest& request) {
  std::vector<Change> changes;
  if (request.task.empty() != request.quota.empty()) {
    Fatal(kExitUsage, "--task and --quota belong together: --task ID --quota SIZE");
  }
  if (!request.at_limit.empty()) {
    changes.push_back({ChangeKind::kAtLimit, 0, ActionOf(request.at_limit)});
  }
  if (!request.memory.empty()) {
    changes.push_back({ChangeKind::kMemory, 0, SizeOf(request.memory, "--memory", kASize)});
  }
  if (!request.task.empty()) {
    changes.push_back({ChangeKind::kTaskQuota, TaskOf(request.task, "--task"),
                       SizeOf(request.quota, "--quota", kASize)});
  }
  if (!request.spill.empty()) {
    const uint64_t task = TaskOf(request.spill[0], "--spill");
    const bool is_all = request.spill.size() == 1;
    changes.push_back(
        {ChangeKind::kTaskSpill, task,
         is_all ? UINT64_MAX : SizeOf(request.spill[1], "--spill", "a size above 0 such as 64M")});
  }
  if (changes.empty()) {
    Fatal(kExitUsage,
          "nothing to set: give --task ID --quota SIZE, --memory SIZE, --spill TASK or --at-limit "
          "ACTION");
  }
  return changes;
}

int64_t WaitOf(const SetRequest& request) {
  if (request.wait.empty()) return kAnswerNs;
  int64_t ns = 0;
  if (ParseDuration(request.wait.c_str(), &ns)) return ns;
  Fatal(kExitUsage, "bad value '{}' for --wait: expected a time such as 5s or 250ms",
        Printable(request.wait, kWordColumns));
}

}  // namespace

int SetCommand(const SetRequest& request) {
  if (request.pid <= 0)
    Fatal(kExitUsage, "bad value '{}' for PID: expected a process", request.pid);
  const std::vector<Change> changes = ChangesOf(request);
  const int64_t wait_ns = WaitOf(request);
  const Options options = OptionsOfReaderOrFail();
  std::string error;
  const auto process = ProcessControl::Open(ReadableStatsDirs(options), request.pid, &error);
  if (process == nullptr) Fatal(EXIT_FAILURE, "{}", error);
  for (const Change& change : changes) {
    const ChangeResult result = process->Ask(change, wait_ns);
    const std::string line = DescribeChange(change, result, request.pid);
    // What follows would not be done either, or is not wanted without it.
    if (result.outcome != ChangeOutcome::kDone) Fatal(EXIT_FAILURE, "{}", line);
    PrintOrFail(line + "\n");
  }
  return EXIT_SUCCESS;
}

}  // namespace taskmem
