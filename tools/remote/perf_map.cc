#include "tools/remote/perf_map.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>

#include "tools/base/process_info.h"

namespace taskmem {
namespace {

constexpr size_t kMostBytes = size_t{64} << 20;
constexpr size_t kMostNameBytes = 512;

bool TakeNumber(std::string_view* line, uint64_t* number) {
  if (line->starts_with("0x")) line->remove_prefix(2);
  const char* const end = line->data() + line->size();
  const auto [at, error] = std::from_chars(line->data(), end, *number, 16);
  if (error != std::errc() || at == end || *at != ' ') return false;
  line->remove_prefix(static_cast<size_t>(at + 1 - line->data()));
  return true;
}

// As it is numbered in its own name space, after which it names the file.
pid_t OwnPid(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("NSpid:")) continue;
    const size_t last = line.find_last_of(" \t");
    return static_cast<pid_t>(std::atoi(line.c_str() + last + 1));
  }
  return pid;
}

// When the process started, in seconds since the epoch.
std::optional<int64_t> StartSeconds(pid_t pid) {
  const auto ticks = StartTime(pid);
  timespec now = {};
  timespec boot = {};
  if (!ticks || clock_gettime(CLOCK_REALTIME, &now) != 0 ||
      clock_gettime(CLOCK_BOOTTIME, &boot) != 0) {
    return std::nullopt;
  }
  return now.tv_sec - boot.tv_sec + static_cast<int64_t>(*ticks) / sysconf(_SC_CLK_TCK);
}

class File {
 public:
  explicit File(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool IsOf(pid_t pid) const {
    struct stat status;
    const auto user = EffectiveUser(pid);
    const auto start = StartSeconds(pid);
    // The two clocks are read one after the other.
    constexpr int64_t kDoubtSeconds = 2;
    return fd_ >= 0 && fstat(fd_, &status) == 0 && S_ISREG(status.st_mode) && user && start &&
           status.st_uid == *user && status.st_mtim.tv_sec + kDoubtSeconds >= *start;
  }

  std::string Read() const {
    std::string text;
    char piece[65536];
    while (text.size() < kMostBytes) {
      const ssize_t got = read(fd_, piece, sizeof(piece));
      if (got <= 0) break;
      text.append(piece, static_cast<size_t>(got));
    }
    return text;
  }

 private:
  const int fd_;
};

}  // namespace

std::map<uint64_t, std::string> ParsePerfMap(std::string_view text,
                                             const std::vector<uint64_t>& addresses) {
  std::map<uint64_t, std::string> names;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    uint64_t start = 0;
    uint64_t bytes = 0;
    if (!TakeNumber(&line, &start) || !TakeNumber(&line, &bytes) || line.empty()) continue;
    // The call is before a return address.
    for (auto at = std::upper_bound(addresses.begin(), addresses.end(), start);
         at != addresses.end() && *at - 1 - start < bytes; ++at) {
      names[*at] = line.substr(0, kMostNameBytes);
    }
  }
  return names;
}

std::map<uint64_t, std::string> NamesOfGeneratedCode(pid_t pid,
                                                     const std::vector<uint64_t>& addresses) {
  if (addresses.empty()) return {};
  const File file(fmt::format("/proc/{}/root/tmp/perf-{}.map", pid, OwnPid(pid)));
  return file.IsOf(pid) ? ParsePerfMap(file.Read(), addresses) : std::map<uint64_t, std::string>();
}

}  // namespace taskmem
