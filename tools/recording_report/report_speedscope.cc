#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/base/units.h"
#include "tools/recording_report/recording_report.h"

namespace taskmem {

// https://www.speedscope.app/file-format-schema.json: a "sampled" profile whose weights are bytes.
std::string FormatSpeedscope(const Recording& recording, const SitesAsAudit& sites) {
  using Json = nlohmann::ordered_json;
  Json frames = Json::array();
  std::map<std::string, size_t> numbers;
  const auto number_of = [&](const std::string& name, const std::string& file, int line) {
    const auto [found, is_new] = numbers.try_emplace(name + '\n' + file, frames.size());
    if (is_new) {
      Json frame = {{"name", name}};
      if (!file.empty()) frame["file"] = Printable(file);
      if (line > 0) frame["line"] = line;
      frames.push_back(std::move(frame));
    }
    return found->second;
  };
  Json samples = Json::array();
  Json weights = Json::array();
  uint64_t sum = 0;
  for (const NamedSite& site : sites.sites) {
    Json stack = Json::array();
    const std::string task = site.task == nullptr ? "untracked" : Printable(site.task->name);
    stack.push_back(number_of(task.empty() ? "task" : task, "", 0));
    for (auto frame = site.frames.rbegin(); frame != site.frames.rend(); ++frame) {
      stack.push_back(
          number_of(Printable(frame->symbol.Text()), frame->symbol.file, frame->symbol.line));
    }
    samples.push_back(std::move(stack));
    weights.push_back(site.bytes);
    sum += site.bytes;
  }
  const std::string name = Printable(recording.Name());
  const Json json = {{"$schema", "https://www.speedscope.app/file-format-schema.json"},
                     {"exporter", "taskmem"},
                     {"name", name},
                     {"shared", {{"frames", frames}}},
                     {"profiles", Json::array({{{"type", "sampled"},
                                                {"name", name},
                                                {"unit", "bytes"},
                                                {"startValue", 0},
                                                {"endValue", sum},
                                                {"samples", samples},
                                                {"weights", weights}}})}};
  return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n";
}

}  // namespace taskmem
