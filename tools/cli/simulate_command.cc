#include "tools/cli/simulate_command.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "shim/options/option_table.h"
#include "shim/options/options.h"
#include "tools/base/json_document.h"
#include "tools/base/message.h"
#include "tools/base/output_file.h"
#include "tools/base/text_table.h"
#include "tools/base/units.h"
#include "tools/cli/report_command.h"
#include "tools/simulation/simulation_report.h"

namespace taskmem {
namespace {

// What --find looks for is exact to this.
constexpr uint64_t kFindStep = 64 * 1024;

// As `run` reads it.
Options ParseLike(std::string_view name, const std::string& value) {
  Options options;
  for (size_t i = 0; i < kOptionCount; ++i) {
    if (name != kOptions[i].name) continue;
    if (kOptions[i].parse(value.c_str(), &options)) return options;
    Fatal(kExitUsage, "bad value '{}' for --{}: expected {}", Printable(value, 40), name,
          kOptions[i].expected);
  }
  return options;
}

// Of "64M,128M"; nothing alone: as recorded.
std::vector<std::optional<std::string>> ListOf(const std::string& text, std::string_view name) {
  constexpr size_t kMost = 64;
  if (text.empty()) return {std::nullopt};
  std::vector<std::optional<std::string>> values;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    values.emplace_back(text.substr(at, comma - at));
    at = comma + 1;
  }
  if (values.size() > kMost) Fatal(kExitUsage, "more than {} values for --{}", kMost, name);
  return values;
}

std::string LimitText(const char* name, uint64_t bytes) {
  return bytes == UINT64_MAX ? fmt::format("no {}", name)
                             : fmt::format("{} {}", name, HumanBytes(bytes));
}

std::vector<SimulatedCase> CasesOf(const SimulateRequest& request) {
  SimulatedLimits common;
  std::string suffix;
  if (!request.share.empty()) {
    common.sharing = ParseLike("share", request.share).share;
    suffix += ", share " + request.share;
  }
  if (!request.storage_fraction.empty()) {
    common.storage_fraction =
        ParseLike("storage-fraction", request.storage_fraction).storage_fraction;
    suffix += ", storage " + request.storage_fraction;
  }
  std::vector<SimulatedCase> cases = {{"as recorded", {}, {}}};
  for (const auto& memory : ListOf(request.memories, "memory")) {
    for (const auto& quota : ListOf(request.quotas, "quota")) {
      SimulatedLimits limits = common;
      std::string name;
      if (memory) {
        limits.memory_bytes = ParseLike("memory", *memory).memory_bytes;
        if (*limits.memory_bytes == 0) {
          Fatal(kExitUsage, "bad value 'container' for --memory: expected a size or none");
        }
        name += ", " + LimitText("memory", *limits.memory_bytes);
      }
      if (quota) {
        limits.quota_bytes = ParseLike("quota", *quota).quota_bytes;
        name += ", " + LimitText("quota", *limits.quota_bytes);
      }
      name += suffix;
      if (!name.empty()) cases.push_back({name.substr(2), limits, {}});
    }
  }
  return cases;
}

// A case with the quota that was looked for; nothing: there is none.
std::optional<SimulatedCase> Found(const Simulator& simulator, const SimulatedCase& under) {
  const auto quota = simulator.FindQuota(under.limits, kFindStep);
  if (!quota) return std::nullopt;
  SimulatedCase found = under;
  found.limits.quota_bytes = *quota;
  const std::string what = LimitText("least quota", *quota);
  found.name = under.name == "as recorded" ? what : what + ", " + under.name;
  return found;
}

}  // namespace

int SimulateCommand(const SimulateRequest& request) {
  if (request.finds && !request.quotas.empty()) {
    Fatal(kExitUsage, "--find looks for a quota: leave out --quota");
  }
  std::vector<SimulatedCase> cases = CasesOf(request);
  CheckOutputFileOrFail(request.output_file, request.file);
  CheckOutputFileOrFail(request.plot_file, request.file);
  const Recording recording = ReadRecordingOrFail(request.file);
  const Simulator simulator(recording);
  if (request.finds) {
    // Under the last limits that were given, or those of then.
    const auto found = Found(simulator, cases.back());
    if (!found) {
      Fatal(EXIT_FAILURE, "no quota suffices: without one, too, memory runs out in {}",
            request.file);
    }
    cases.push_back(*found);
  }
  for (SimulatedCase& one : cases) one.result = simulator.Run(one.limits);
  if (!request.plot_file.empty())
    WriteOutputFileOrFail(request.plot_file, SimulationSvg(recording, cases));
  const std::string text = request.as_json ? JsonText(SimulationJson(recording, cases))
                                           : FormatSimulation(recording, cases,
                                                              request.output_file.empty()
                                                                  ? TerminalColumns(STDOUT_FILENO)
                                                                  : TerminalColumns(-1));
  if (request.output_file.empty()) {
    PrintOrFail(text);
  } else {
    WriteOutputFileOrFail(request.output_file, text);
  }
  return EXIT_SUCCESS;
}

}  // namespace taskmem
