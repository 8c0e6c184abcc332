// What every JSON document of the command begins with.
#ifndef TASKMEM_TOOLS_BASE_JSON_DOCUMENT_H_
#define TASKMEM_TOOLS_BASE_JSON_DOCUMENT_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace taskmem {

// {"schema": "taskmem-KIND-1", "taskmem_version": ..., "time": ...}. The number counts changes
// that readers of an older document do not understand. The time is now, UTC, as ISO 8601 has it.
// documents.schema.json says what follows in each kind.
nlohmann::ordered_json JsonDocument(std::string_view kind);

template <typename T>
nlohmann::ordered_json OrNull(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}
// Of a limit: UINT64_MAX, none, is null.
inline nlohmann::ordered_json LimitOrNull(uint64_t bytes) {
  return OrNull(bytes == UINT64_MAX ? std::nullopt : std::optional(bytes));
}

// Indented, with a newline at the end. Names are whatever bytes a program chose: what is beyond
// ASCII is escaped.
std::string JsonText(const nlohmann::ordered_json& json);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_JSON_DOCUMENT_H_
