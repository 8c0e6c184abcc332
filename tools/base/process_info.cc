#include "tools/base/process_info.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <string>

#include "accounting/base/process_stat.h"

namespace taskmem {
namespace {

// Calls visit(text) with what is read of a file of /proc, piece by piece, until it returns
// false. The process may end meanwhile: then that was all.
template <typename Visit>
void ReadPieces(pid_t pid, const char* name, Visit visit) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return;
  char buffer[4096];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || !visit(std::string_view(buffer, static_cast<size_t>(got)))) break;
  }
  close(fd);
}

std::optional<ProcessStat> ReadStat(pid_t pid) {
  // Some fifty numbers and a short name.
  char text[4096];
  size_t bytes = 0;
  ReadPieces(pid, "stat", [&](std::string_view piece) {
    bytes += piece.copy(text + bytes, sizeof(text) - bytes);
    return bytes < sizeof(text);
  });
  return ParseStat({text, bytes});
}

// Calls visit(line) for each line of /proc/PID/status.
template <typename Visit>
void ReadStatusLines(pid_t pid, Visit visit) {
  // A line as far as it matters: that of the groups may be very long.
  char line[128];
  size_t used = 0;
  ReadPieces(pid, "status", [&](std::string_view piece) {
    for (const char c : piece) {
      if (c == '\n') {
        visit(std::string_view(line, used));
        used = 0;
      } else if (used < sizeof(line)) {
        line[used++] = c;
      }
    }
    return true;
  });
}

uint64_t KibibytesOf(std::string_view value) {
  const size_t digits = value.find_first_not_of(" \t");
  uint64_t kib = 0;
  if (digits == std::string_view::npos) return 0;
  std::from_chars(value.data() + digits, value.data() + value.size(), kib);
  return kib > UINT64_MAX / 1024 ? 0 : kib * 1024;
}

}  // namespace

std::optional<ProcessStat> ParseStat(std::string_view text) {
  const std::string whole(text);
  const char* const state = ProcessStatField(whole.c_str(), kStatState);
  const char* const start = ProcessStatField(whole.c_str(), kStatStartTime);
  if (state == nullptr || start == nullptr) return std::nullopt;
  ProcessStat stat;
  stat.state = *state;
  const char* const text_end = whole.c_str() + whole.size();
  const auto [end, error] = std::from_chars(start, text_end, stat.start_time);
  if (error != std::errc() || (end != text_end && *end != ' ' && *end != '\n')) return std::nullopt;
  return stat;
}

void ParseStatusLine(std::string_view line, ResidentBytes* resident) {
  constexpr std::string_view kNow = "VmRSS:";
  constexpr std::string_view kPeak = "VmHWM:";
  if (line.starts_with(kNow)) resident->now = KibibytesOf(line.substr(kNow.size()));
  if (line.starts_with(kPeak)) resident->peak = KibibytesOf(line.substr(kPeak.size()));
}

std::optional<uint64_t> StartTime(pid_t pid) {
  const std::optional<ProcessStat> stat = ReadStat(pid);
  if (!stat) return std::nullopt;
  return stat->start_time;
}

bool IsAlive(pid_t pid, uint64_t start_time) {
  if (const std::optional<ProcessStat> stat = ReadStat(pid)) {
    return stat->start_time == start_time && stat->state != 'Z' && stat->state != 'X';
  }
  const bool has_proc = ReadStat(getpid()).has_value();
  return !has_proc && pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

bool IsStopped(pid_t pid) {
  const std::optional<ProcessStat> stat = ReadStat(pid);
  return !stat || stat->state == 'T' || stat->state == 't';
}

std::optional<uid_t> EffectiveUser(pid_t pid) {
  std::optional<uid_t> user;
  ReadStatusLines(pid, [&](std::string_view line) {
    // Real, effective, saved, of the file system.
    constexpr std::string_view kUsers = "Uid:\t";
    const size_t at = line.find('\t', kUsers.size());
    if (!line.starts_with(kUsers) || at == std::string_view::npos) return;
    uid_t number = 0;
    const auto [end, error] =
        std::from_chars(line.data() + at + 1, line.data() + line.size(), number);
    if (error == std::errc()) user = number;
  });
  return user;
}

ResidentBytes ReadResidentBytes(pid_t pid) {
  ResidentBytes resident;
  ReadStatusLines(pid, [&](std::string_view line) { ParseStatusLine(line, &resident); });
  return resident;
}

}  // namespace taskmem
