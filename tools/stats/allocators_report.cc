#include "tools/stats/allocators_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/base/units.h"

namespace taskmem {
namespace {

const char* StateKey(AdoptionState state) {
  switch (state) {
    case AdoptionState::kAdopted: return "adopted";
    case AdoptionState::kApart: return "apart";
    default: return "kept";
  }
}

}  // namespace

std::string AllocatorText(const AllocatorStats& allocator) {
  std::string text =
      fmt::format("{} of {}", Printable(allocator.allocator), Printable(allocator.library));
  if (!allocator.functions.empty()) text += fmt::format(" ({})", Printable(allocator.functions));
  const std::string how = Printable(allocator.how);
  if (allocator.state != AdoptionState::kAdopted) {
    return text + fmt::format(" keeps its own memory: {}", how);
  }
  text += ": adopted";
  if (allocator.live_bytes) text += fmt::format(", {} live", HumanBytes(*allocator.live_bytes));
  return text + fmt::format("; {}", how);
}

nlohmann::ordered_json AllocatorsJson(const std::vector<AllocatorStats>& allocators) {
  auto rows = nlohmann::ordered_json::array();
  for (const AllocatorStats& allocator : allocators) {
    nlohmann::ordered_json row;
    row["allocator"] = allocator.allocator;
    row["library"] = allocator.library;
    row["functions"] = allocator.functions;
    row["state"] = StateKey(allocator.state);
    row["how"] = allocator.how;
    row["live_bytes"] = nullptr;
    if (allocator.live_bytes) row["live_bytes"] = *allocator.live_bytes;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace taskmem
