#include "tools/base/json_document.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "shim/base/version.h"

namespace taskmem {

nlohmann::ordered_json JsonDocument(std::string_view kind) {
  return {{"schema", fmt::format("taskmem-{}-1", kind)},
          {"taskmem_version", kVersion},
          {"time", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))}};
}

std::string JsonText(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace taskmem
