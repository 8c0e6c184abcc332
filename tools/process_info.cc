#include "tools/process_info.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace taskmem {

std::optional<uint64_t> StartTime(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // The command name, field 2, may hold anything: fields count from its end.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  std::string state;
  fields >> state;
  if (state == "Z" || state == "X") return std::nullopt;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  uint64_t start_time;
  if (!(fields >> start_time)) return std::nullopt;
  return start_time;
}

ResidentBytes ReadResidentBytes(pid_t pid) {
  ResidentBytes resident;
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key;
    uint64_t kib;
    if (!(words >> key >> kib)) continue;
    if (key == "VmRSS:") resident.now = kib * 1024;
    if (key == "VmHWM:") resident.peak = kib * 1024;
  }
  return resident;
}

}  // namespace taskmem
