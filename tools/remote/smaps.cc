#include "tools/remote/smaps.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

namespace taskmem {
namespace {

constexpr uint64_t kPageBytes = 4096;

// Takes a number and the one character behind it off the front. False: there is none.
bool TakeNumber(std::string_view* text, int base, char behind, uint64_t* number) {
  const char* const end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, *number, base);
  if (error != std::errc() || at == end || *at != behind) return false;
  text->remove_prefix(static_cast<size_t>(at - text->data()) + 1);
  return true;
}

// "7f00-7f10 rw-p 00000000 fe:00 247026    /usr/bin/cat"
bool ParseHeading(std::string_view line, MemoryRange* range) {
  *range = {};
  if (!TakeNumber(&line, 16, '-', &range->start) || !TakeNumber(&line, 16, ' ', &range->end)) {
    return false;
  }
  constexpr size_t kPermissions = 5;  // with the space
  if (line.size() < kPermissions) return false;
  range->readable = line[0] == 'r';
  range->writable = line[1] == 'w';
  range->executable = line[2] == 'x';
  range->shared = line[3] == 's';
  line.remove_prefix(kPermissions);
  uint64_t ignored;
  if (!TakeNumber(&line, 16, ' ', &range->offset) || !TakeNumber(&line, 16, ':', &ignored) ||
      !TakeNumber(&line, 16, ' ', &ignored)) {
    return false;
  }
  const auto [at, error] = std::from_chars(line.data(), line.data() + line.size(), range->inode);
  if (error != std::errc()) return false;
  line.remove_prefix(static_cast<size_t>(at - line.data()));
  const size_t name = line.find_first_not_of(' ');
  if (name != std::string_view::npos) range->name = line.substr(name);
  return true;
}

uint64_t KibibytesOf(std::string_view value) {
  const size_t digits = value.find_first_not_of(' ');
  if (digits == std::string_view::npos) return 0;
  uint64_t kib = 0;
  std::from_chars(value.data() + digits, value.data() + value.size(), kib);
  return kib > UINT64_MAX / 1024 ? 0 : kib * 1024;
}

void ParseField(std::string_view line, MemoryRange* range) {
  constexpr std::string_view kRss = "Rss:";
  constexpr std::string_view kFlags = "VmFlags:";
  if (line.starts_with(kRss)) {
    range->resident_bytes = KibibytesOf(line.substr(kRss.size()));
  } else if (line.starts_with(kFlags)) {
    range->no_reserve = line.find(" nr") != std::string_view::npos;
  }
}

}  // namespace

std::string MemoryRange::Permissions() const {
  return fmt::format("{}{}{}{}", readable ? 'r' : '-', writable ? 'w' : '-', executable ? 'x' : '-',
                     shared ? 's' : 'p');
}

std::vector<MemoryRange> ParseSmaps(std::string_view text) {
  std::vector<MemoryRange> ranges;
  MemoryRange range;
  while (!text.empty()) {
    const size_t length = text.find('\n');
    const std::string_view line = text.substr(0, length);
    text.remove_prefix(length == std::string_view::npos ? text.size() : length + 1);
    // Field names begin with a capital letter, addresses never do.
    if (!line.empty() && line[0] >= 'A' && line[0] <= 'Z') {
      if (!ranges.empty()) ParseField(line, &ranges.back());
    } else if (ParseHeading(line, &range) && range.start < range.end &&
               range.start % kPageBytes == 0 && range.end % kPageBytes == 0 &&
               (ranges.empty() || range.start >= ranges.back().end)) {
      ranges.push_back(range);
    }
  }
  return ranges;
}

namespace {

std::optional<std::vector<MemoryRange>> ReadRanges(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  std::string text;
  constexpr size_t kStep = 1 << 20;
  constexpr size_t kMostBytes = size_t{512} << 20;
  ssize_t got = 0;
  do {
    const size_t used = text.size();
    text.resize(used + kStep);
    got = read(fd, text.data() + used, kStep);
    text.resize(used + static_cast<size_t>(got > 0 ? got : 0));
  } while ((got > 0 && text.size() < kMostBytes) || (got < 0 && errno == EINTR));
  const int error = errno;
  close(fd);
  errno = error;
  if (got < 0) return std::nullopt;
  return ParseSmaps(text);
}

}  // namespace

std::optional<std::vector<MemoryRange>> ReadSmaps(pid_t pid) {
  return ReadRanges(fmt::format("/proc/{}/smaps", pid));
}

std::optional<std::vector<MemoryRange>> ReadMaps(pid_t pid) {
  return ReadRanges(fmt::format("/proc/{}/maps", pid));
}

}  // namespace taskmem
