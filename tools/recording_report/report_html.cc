#include "tools/recording_report/report_html.h"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "tools/recording_report/page_data.h"
#include "tools/recording_report/page_files.h"

namespace taskmem {
namespace {

// In a script element nothing may look like its end.
std::string ScriptJson(const nlohmann::ordered_json& json) {
  const std::string text =
      json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
  std::string escaped;
  escaped.reserve(text.size() + text.size() / 16);
  for (const char c : text) {
    if (c == '<') {
      escaped += "\\u003c";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

bool HasPageLibraries() {
  return !page::Chart().empty() && !page::Graphs().empty() && !page::Flame().empty();
}

std::string FormatPage(const Recording& recording) {
  const struct {
    std::string_view mark;
    std::string text;
  } kParts[] = {
      {"@CSS@", std::string(page::ChartStyle()) + std::string(page::Style())},
      {"@DATA@", ScriptJson(PageData(recording))},
      {"@LIBRARIES@", std::string(page::Chart()) + ";\n" + std::string(page::Graphs()) + ";\n" +
                          std::string(page::Flame())},
      {"@SCRIPT@", std::string(page::Script())},
  };
  std::string_view rest = page::Frame();
  std::string result;
  for (const auto& [mark, text] : kParts) {
    const size_t at = rest.find(mark);
    result += rest.substr(0, at);
    result += text;
    rest.remove_prefix(at + mark.size());
  }
  return result += rest;
}

}  // namespace taskmem
