#include "tools/simulation/simulation_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/base/json_document.h"
#include "tools/base/text_table.h"
#include "tools/base/units.h"
#include "tools/recording_report/recording_report.h"

namespace taskmem {
namespace {

const char* EndName(ShortEnd end) {
  switch (end) {
    case ShortEnd::kRefused: return "refused";
    case ShortEnd::kSpilled: return "spilled";
    case ShortEnd::kOverflowed: return "overflow";
    case ShortEnd::kOverdrawn: return "overdrawn";
    case ShortEnd::kKilled: return "killed";
  }
  return "";
}

}  // namespace

std::string FormatSimulation(const Recording& recording, const std::vector<SimulatedCase>& cases,
                             size_t columns) {
  std::string text =
      ReportLine(fmt::format("taskmem: simulation of {}, {} recorded", Printable(recording.Name()),
                             TimeText(recording.end_us)),
                 columns);
  const std::vector<Column> headings = {
      {"limits", Align::kLeft},           {"peak"},
      {"first", Align::kRight, true},     {"by", Align::kLeft, true},
      {"task", Align::kLeft, true, true}, {"end", Align::kLeft, true},
      {"times", Align::kRight, true},     {"tasks", Align::kRight, true},
      {"spilled", Align::kRight, true},   {"evicted", Align::kRight, true},
      {"overflow", Align::kRight, true},  {"stalled", Align::kRight, true}};
  std::vector<std::vector<std::string>> rows;
  for (const SimulatedCase& one : cases) {
    const SimulationResult& result = one.result;
    const auto& first = result.first;
    const bool has_stall = result.stall_ns && result.spilled_bytes != 0;
    rows.push_back({one.name, HumanBytes(result.peak_held_bytes), first ? TimeText(first->us) : "-",
                    first ? (first->by_quota ? "quota" : "memory") : "-",
                    first ? RecordedTaskText(recording.tasks[first->task]) : "-",
                    first ? EndName(first->end) : "-", CountOrDash(result.times),
                    CountOrDash(result.tasks), BytesOrDash(result.spilled_bytes),
                    BytesOrDash(result.evicted_bytes), BytesOrDash(result.overflow_bytes),
                    has_stall ? TimeText(static_cast<int64_t>(*result.stall_ns / 1000)) : "-"});
  }
  return text + FormatTable(headings, rows, columns);
}

nlohmann::ordered_json SimulationJson(const Recording& recording,
                                      const std::vector<SimulatedCase>& cases) {
  using Json = nlohmann::ordered_json;
  Json json = JsonDocument("simulation");
  json["program"] = Printable(recording.Name());
  json["duration_us"] = recording.end_us;
  json["cases"] = Json::array();
  for (const SimulatedCase& one : cases) {
    const SimulationResult& result = one.result;
    Json row;
    row["name"] = one.name;
    row["quota_bytes"] = LimitOrNull(one.limits.quota_bytes.value_or(UINT64_MAX));
    row["memory_bytes"] = LimitOrNull(one.limits.memory_bytes.value_or(UINT64_MAX));
    row["peak_held_bytes"] = result.peak_held_bytes;
    row["first"] = nullptr;
    if (const auto& first = result.first) {
      row["first"] = {{"time_us", first->us},
                      {"task", first->task},
                      {"by", first->by_quota ? "quota" : "memory"},
                      {"end", EndName(first->end)},
                      {"needed_bytes", first->needed_bytes},
                      {"held_bytes", first->held_bytes}};
    }
    row["times"] = result.times;
    row["tasks"] = result.tasks;
    row["refused_times"] = result.refused_times;
    row["refused_bytes"] = result.refused_bytes;
    row["spilled_bytes"] = result.spilled_bytes;
    row["evicted_bytes"] = result.evicted_bytes;
    row["not_cached_bytes"] = result.not_cached_bytes;
    row["overflow_bytes"] = result.overflow_bytes;
    row["stall_ns"] = OrNull(result.stall_ns);
    json["cases"].push_back(std::move(row));
  }
  return json;
}

namespace {

constexpr const char* kColours[] = {"#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2",
                                    "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#86bcb6"};
constexpr double kWidth = 900;
constexpr double kHeight = 360;
constexpr double kLeft = 90;
constexpr double kTop = 20;

// A step line of at most some thousand corners.
std::string Path(const std::vector<RecordedValue>& values, double us_at_end, double most) {
  constexpr size_t kMostCorners = 2000;
  std::string path;
  const auto x = [&](int64_t us) { return kLeft + static_cast<double>(us) / us_at_end * kWidth; };
  const auto y = [&](uint64_t bytes) {
    return kTop + kHeight - static_cast<double>(bytes) / most * kHeight;
  };
  const size_t step = values.size() / kMostCorners + 1;
  for (size_t i = 0; i < values.size(); i += step) {
    // What is left out is not higher.
    RecordedValue shown = values[i];
    for (size_t k = i; k < std::min(i + step, values.size()); ++k) {
      shown.value = std::max(shown.value, values[k].value);
    }
    path += path.empty() ? fmt::format("M{:.1f} {:.1f}", x(shown.us), y(shown.value))
                         : fmt::format("H{:.1f}V{:.1f}", x(shown.us), y(shown.value));
  }
  return path + fmt::format("H{:.1f}", kLeft + kWidth);
}

std::string Escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '&': result += "&amp;"; break;
      case '"': result += "&quot;"; break;
      default: result += c;
    }
  }
  return result;
}

}  // namespace

std::string SimulationSvg(const Recording& recording, const std::vector<SimulatedCase>& cases) {
  double most = 1;
  for (const SimulatedCase& one : cases) {
    most = std::max(most, static_cast<double>(one.result.peak_held_bytes));
  }
  constexpr double kMost = 1e18;
  most = std::min(most * 1.05, kMost);
  const double end = std::max<double>(1, static_cast<double>(recording.end_us));
  constexpr double kLineHeight = 18;
  const double height = kTop + kHeight + 40 + kLineHeight * static_cast<double>(cases.size());
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" "
      "font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n"
      "<title>{2}</title>\n",
      kLeft + kWidth + 20, height, Escaped(Printable(recording.Name())));
  constexpr int kLines = 4;
  for (int i = 0; i <= kLines; ++i) {
    const double y = kTop + kHeight - kHeight * i / kLines;
    svg += fmt::format(
        "<path d=\"M{:.1f} {:.1f}h{:.1f}\" stroke=\"#ddd\"/><text x=\"{:.1f}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>\n",
        kLeft, y, kWidth, kLeft - 6, y + 4, HumanBytes(static_cast<uint64_t>(most * i / kLines)));
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                       kLeft + kWidth * i / kLines, kTop + kHeight + 16,
                       TimeText(static_cast<int64_t>(end * i / kLines)));
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    const SimulatedCase& one = cases[i];
    const char* const colour = kColours[i % std::size(kColours)];
    svg += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>\n",
                       Path(one.result.held, end, most), colour);
    std::string label = one.name;
    if (const auto& first = one.result.first) {
      const double x = kLeft + static_cast<double>(first->us) / end * kWidth;
      const double y = kTop + kHeight -
                       static_cast<double>(ValueAt(one.result.held, first->us)) / most * kHeight;
      svg +=
          fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\"/>\n", x, y, colour);
      label += fmt::format(": first {} at {}, {}", EndName(first->end), TimeText(first->us),
                           RecordedTaskText(recording.tasks[first->task]));
    } else {
      label += ": all found room";
    }
    const double y = kTop + kHeight + 36 + kLineHeight * static_cast<double>(i);
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"10\" height=\"10\" fill=\"{}\"/><text "
        "x=\"{:.1f}\" "
        "y=\"{:.1f}\">{}</text>\n",
        kLeft, y - 9, colour, kLeft + 16, y, Escaped(label));
  }
  return svg + "</svg>\n";
}

}  // namespace taskmem
