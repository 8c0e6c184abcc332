#include "tests/conformance/compare.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace taskmem::conformance {
namespace {

// Objects whose members are data: that a task has a key matters, whatever its value.
bool HasDataKeys(const std::string& name) {
  static const std::set<std::string> kNames = {"exec_on", "exec_off", "unroll_on", "unroll_off",
                                               "cons",    "tmm",      "locks",     "params"};
  return kNames.contains(name);
}

bool SaysNothing(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null: return true;
    case Json::value_t::boolean: return !value.get<bool>();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned: return value.get<int64_t>() == 0;
    case Json::value_t::number_float: return value.get<double>() == 0;
    case Json::value_t::string:
    case Json::value_t::array:
    case Json::value_t::object: return value.empty() || value == "";
    default: return false;
  }
}

Json WithoutNothing(const Json& value, bool has_data_keys) {
  if (value.is_array()) {
    Json array = Json::array();
    for (const Json& each : value) array.push_back(WithoutNothing(each, false));
    return array;
  }
  if (!value.is_object()) return value;
  Json object = Json::object();
  for (const auto& [name, member] : value.items()) {
    Json rest = WithoutNothing(member, HasDataKeys(name));
    if (has_data_keys || !SaysNothing(rest)) object[name] = std::move(rest);
  }
  return object;
}

// Their order is not specified.
void SortBySteps(Json& entries) {
  std::sort(entries.begin(), entries.end(), [](const Json& a, const Json& b) {
    return a.value("i", int64_t{0}) < b.value("i", int64_t{0});
  });
}

// Cuts what the line says about a moment.
void ForgetMoment(std::string& line) {
  for (const std::string_view words : {" (free ", ", free ", "Memory use = "}) {
    const size_t at = line.find(words);
    if (at != line.npos) line.resize(at + words.size());
  }
  constexpr std::string_view kUsed = " bytes of memory are used for execution and ";
  if (line.find(kUsed) != line.npos) line = kUsed;
}

void ForgetMoments(Json& entry) {
  const auto events = entry.find("ev");
  if (events == entry.end()) return;
  for (Json& event : *events) {
    if (event.contains("msg")) ForgetMoment(event["msg"].get_ref<std::string&>());
  }
}

std::string At(const Json& json, const Json::json_pointer& pointer) {
  return json.contains(pointer) ? json.at(pointer).dump() : "nothing";
}

}  // namespace

Json Normalised(const Json& step) {
  Json normalised = WithoutNothing(step, false);
  for (const char* list : {"woken", "waiter_ev"}) {
    const auto entries = normalised.find(list);
    if (entries == normalised.end()) continue;
    SortBySteps(*entries);
    ForgetMoments(normalised);
    for (Json& entry : *entries) ForgetMoments(entry);
  }
  return normalised;
}

std::string Differences(const Json& expected, const Json& actual) {
  if (expected == actual) return "";
  std::string text;
  for (const Json& change : Json::diff(expected, actual)) {
    const auto path = change.at("path").get<std::string>();
    if (path.ends_with("/-")) {  // more in a list than expected
      text += "    " + path + ": nothing expected, " + change.at("value").dump() + " happened\n";
      continue;
    }
    const Json::json_pointer pointer(path);
    text += "    " + path + ": " + At(expected, pointer) + " expected, " + At(actual, pointer) +
            " happened\n";
  }
  return text;
}

}  // namespace taskmem::conformance
