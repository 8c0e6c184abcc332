#include "tools/process_info.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace taskmem {
namespace {

struct Stat {
  char state = 'X';
  uint64_t start_time = 0;
};

std::optional<Stat> ReadStat(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // The command name, field 2, may hold anything: fields count from its end.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  Stat stat;
  fields >> stat.state;
  std::string skipped;
  for (int field = 4; field < 22; ++field) fields >> skipped;
  if (!(fields >> stat.start_time)) return std::nullopt;
  return stat;
}

}  // namespace

std::optional<uint64_t> StartTime(pid_t pid) {
  const std::optional<Stat> stat = ReadStat(pid);
  if (!stat) return std::nullopt;
  return stat->start_time;
}

bool IsAlive(pid_t pid, uint64_t start_time) {
  const std::optional<Stat> stat = ReadStat(pid);
  return stat && stat->start_time == start_time && stat->state != 'Z' && stat->state != 'X';
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
