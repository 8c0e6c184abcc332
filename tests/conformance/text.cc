#include "tests/conformance/text.h"

#include <charconv>
#include <map>
#include <string>
#include <string_view>

#include "tests/conformance/trace.h"

namespace taskmem::conformance {

const char* NameOf(MemoryMode mode) { return mode == MemoryMode::kOnHeap ? "ON_HEAP" : "OFF_HEAP"; }

MemoryMode ModeOf(const Json& name) {
  if (name == "ON_HEAP") return MemoryMode::kOnHeap;
  if (name == "OFF_HEAP") return MemoryMode::kOffHeap;
  throw TraceError("unknown memory mode " + name.dump());
}

BlockId BlockIdOf(const Json& name) {
  BlockId id;
  if (!BlockId::Parse(name.get<std::string>(), &id)) throw TraceError("no block " + name.dump());
  return id;
}

int64_t SizeOf(const Json& setting) {
  if (!setting.is_string()) return setting.get<int64_t>();
  static const std::map<std::string_view, int> kShifts = {
      {"", 0},   {"b", 0},   {"k", 10}, {"kb", 10}, {"m", 20}, {"mb", 20},
      {"g", 30}, {"gb", 30}, {"t", 40}, {"tb", 40}, {"p", 50}, {"pb", 50},
  };
  const std::string& text = setting.get_ref<const std::string&>();
  const char* const end = text.data() + text.size();
  int64_t number = 0;
  const auto [unit, error] = std::from_chars(text.data(), end, number);
  const auto shift = kShifts.find(std::string_view(unit, end - unit));
  if (error != std::errc() || shift == kShifts.end()) {
    throw TraceError("not a size: " + setting.dump());
  }
  return number * (int64_t{1} << shift->second);
}

}  // namespace taskmem::conformance
