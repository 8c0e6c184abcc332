#include "shim/memory_limit.h"

#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "shim/os.h"

namespace taskmem {
namespace {

constexpr uint64_t kNoLimit = UINT64_MAX;
constexpr uint64_t kReserveBytes = uint64_t{300} << 20;
constexpr size_t kPathBytes = 512;

uint64_t Smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

// The number a text begins with; kNoLimit where it begins with none ("max").
uint64_t ParseNumber(const char* text) {
  char* end = nullptr;
  const uint64_t number = strtoull(text, &end, 10);
  return end != text ? number : kNoLimit;
}

uint64_t ReadLimit(const char* path) {
  char text[64];
  return os::ReadFile(path, text, sizeof(text)) > 0 ? ParseNumber(text) : kNoLimit;
}

// The smallest limit of a group and all above it. `mount` is where the hierarchy is
// mounted; in a container the group's path may not be seen below it: then the mount
// itself is the group.
uint64_t GroupLimit(const char* mount, const char* group, const char* file) {
  char path[2 * kPathBytes + 64];
  char name[kPathBytes];
  snprintf(name, sizeof(name), "%s", group);
  uint64_t limit = kNoLimit;
  for (;;) {
    snprintf(path, sizeof(path), "%s%s/%s", mount, strcmp(name, "/") == 0 ? "" : name, file);
    limit = Smaller(limit, ReadLimit(path));
    char* slash = strrchr(name, '/');
    if (slash == nullptr || name[0] == '\0') return limit;
    *slash = '\0';
  }
}

bool HasController(const char* controllers, size_t length, const char* wanted) {
  const size_t wanted_length = strlen(wanted);
  for (const char* at = controllers; at < controllers + length;) {
    const char* comma = static_cast<const char*>(
        memchr(at, ',', static_cast<size_t>(controllers + length - at)));
    const char* end = comma != nullptr ? comma : controllers + length;
    if (static_cast<size_t>(end - at) == wanted_length && memcmp(at, wanted, wanted_length) == 0) {
      return true;
    }
    at = end + 1;
  }
  return false;
}

uint64_t ControlGroupLimit(const char* root) {
  char path[kPathBytes];
  char text[4096];
  snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
  const long length = os::ReadFile(path, text, sizeof(text));
  if (length <= 0) return kNoLimit;
  uint64_t limit = kNoLimit;
  // Lines "<id>:<controllers>:<group>"; version 2 has no controllers.
  char* rest = text;
  for (char* line; (line = strsep(&rest, "\n")) != nullptr;) {
    char* controllers = strchr(line, ':');
    char* group = controllers != nullptr ? strchr(controllers + 1, ':') : nullptr;
    if (group == nullptr) continue;
    ++controllers;
    const auto controllers_length = static_cast<size_t>(group - controllers);
    ++group;
    char mount[kPathBytes];
    if (controllers_length == 0) {
      snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup", root);
      limit = Smaller(limit, GroupLimit(mount, group, "memory.max"));
    } else if (HasController(controllers, controllers_length, "memory")) {
      snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup/memory", root);
      limit = Smaller(limit, GroupLimit(mount, group, "memory.limit_in_bytes"));
    }
  }
  return limit;
}

uint64_t MachineMemory(const char* root) {
  char path[kPathBytes];
  char text[4096];
  snprintf(path, sizeof(path), "%s/proc/meminfo", root);
  if (os::ReadFile(path, text, sizeof(text)) <= 0) return kNoLimit;
  const char* total = strstr(text, "MemTotal:");
  const uint64_t kib = total != nullptr ? ParseNumber(total + strlen("MemTotal:")) : kNoLimit;
  return kib < kNoLimit / 1024 ? kib * 1024 : kNoLimit;
}

}  // namespace

uint64_t MemoryBytesFrom(const char* root) {
  const uint64_t limit = Smaller(ControlGroupLimit(root), MachineMemory(root));
  return limit == kNoLimit ? limit : limit - Smaller(kReserveBytes, limit / 8);
}

uint64_t ResidentMemoryBytes() {
  // Piece by piece: whoever allocates may have a small stack.
  char text[192];
  size_t kept = 0;
  uint64_t kib = 0;
  bool is_known = false;
  const long fd = os::Call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/status"),
                           O_RDONLY | O_CLOEXEC);
  while (!os::Failed(fd)) {
    const long got = os::Call(SYS_read, fd, reinterpret_cast<long>(text + kept),
                              static_cast<long>(sizeof(text) - 1 - kept));
    if (got <= 0) break;
    kept += static_cast<size_t>(got);
    text[kept] = '\0';
    char* line = text;
    for (char* end; (end = strchr(line, '\n')) != nullptr; line = end + 1) {
      const bool is_anonymous = strncmp(line, "RssAnon:", 8) == 0;
      if (!is_anonymous && strncmp(line, "RssShmem:", 9) != 0) continue;
      const uint64_t number = ParseNumber(strchr(line, ':') + 1);
      if (number == kNoLimit) continue;
      kib += number;
      is_known = true;
    }
    // A line of more than that is none of these.
    kept = strlen(line);
    if (kept == sizeof(text) - 1) kept = 0;
    memmove(text, line, kept);
  }
  if (!os::Failed(fd)) os::Call(SYS_close, fd);
  if (is_known) return kib * 1024;
  struct rusage usage = {};
  os::Call(SYS_getrusage, RUSAGE_SELF, reinterpret_cast<long>(&usage));
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

uint64_t DefaultMemoryBytes() { return MemoryBytesFrom(""); }

}  // namespace taskmem
