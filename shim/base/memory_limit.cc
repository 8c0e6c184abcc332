#include "shim/base/memory_limit.h"

#include <sys/resource.h>
#include <sys/sysinfo.h>

#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "shim/base/os.h"

namespace taskmem {
namespace {

constexpr uint64_t kNoLimit = UINT64_MAX;
constexpr uint64_t kReserveBytes = uint64_t{300} << 20;
constexpr size_t kPathBytes = 512;

uint64_t Smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

// Whoever looks may have a small stack: no buffer lies on it, and nothing of stdio is called.
struct Buffers {
  char text[4096];
  char group[kPathBytes];
  char path[2 * kPathBytes + 64];
};
Buffers g_buffers;

// `parts` one after another in g_buffers.path, cut.
const char* Path(std::initializer_list<const char*> parts) {
  char* at = g_buffers.path;
  char* const end = at + sizeof(g_buffers.path) - 1;
  for (const char* part : parts) {
    while (*part != '\0' && at < end) *at++ = *part++;
  }
  *at = '\0';
  return g_buffers.path;
}

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

// The smallest limit of a group and all above it. The hierarchy is mounted at `root` + `mount`;
// in a container the group's path may not be seen below it: then the mount itself is the group.
uint64_t GroupLimit(const char* root, const char* mount, const char* group, const char* file) {
  char* const name = g_buffers.group;
  const size_t length = strnlen(group, kPathBytes - 1);
  memcpy(name, group, length);
  name[length] = '\0';
  uint64_t limit = kNoLimit;
  for (;;) {
    const bool is_root = name[0] == '/' && name[1] == '\0';
    limit = Smaller(limit, ReadLimit(Path({root, mount, is_root ? "" : name, "/", file})));
    char* slash = strrchr(name, '/');
    if (slash == nullptr || is_root || name[0] == '\0') return limit;
    *slash = '\0';
  }
}

bool HasController(const char* controllers, size_t length, const char* wanted) {
  const size_t wanted_length = strlen(wanted);
  for (const char* at = controllers; at < controllers + length;) {
    const char* comma =
        static_cast<const char*>(memchr(at, ',', static_cast<size_t>(controllers + length - at)));
    const char* end = comma != nullptr ? comma : controllers + length;
    if (static_cast<size_t>(end - at) == wanted_length && memcmp(at, wanted, wanted_length) == 0) {
      return true;
    }
    at = end + 1;
  }
  return false;
}

uint64_t ControlGroupLimit(const char* root) {
  char* const text = g_buffers.text;
  const long length = os::ReadFile(Path({root, "/proc/self/cgroup"}), text, sizeof(g_buffers.text));
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
    if (controllers_length == 0) {
      limit = Smaller(limit, GroupLimit(root, "/sys/fs/cgroup", group, "memory.max"));
    } else if (HasController(controllers, controllers_length, "memory")) {
      limit =
          Smaller(limit, GroupLimit(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
    }
  }
  return limit;
}

uint64_t MachineMemoryFrom(const char* root) {
  char* const text = g_buffers.text;
  if (os::ReadFile(Path({root, "/proc/meminfo"}), text, sizeof(g_buffers.text)) <= 0) {
    return kNoLimit;
  }
  const char* total = strstr(text, "MemTotal:");
  const uint64_t kib = total != nullptr ? ParseNumber(total + strlen("MemTotal:")) : kNoLimit;
  return kib < kNoLimit / 1024 ? kib * 1024 : kNoLimit;
}

uint64_t MachineMemory() {
  struct sysinfo info = {};
  if (os::Failed(os::Call(SYS_sysinfo, reinterpret_cast<long>(&info)))) return kNoLimit;
  return uint64_t{info.totalram} * info.mem_unit;
}

uint64_t WithoutReserve(uint64_t limit) {
  return limit == kNoLimit ? limit : limit - Smaller(kReserveBytes, limit / 8);
}

}  // namespace

uint64_t MemoryBytesFrom(const char* root) {
  return WithoutReserve(Smaller(ControlGroupLimit(root), MachineMemoryFrom(root)));
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

uint64_t MachineMemoryBytes() { return WithoutReserve(MachineMemory()); }

uint64_t DefaultMemoryBytes() {
  return WithoutReserve(Smaller(ControlGroupLimit(""), MachineMemory()));
}

}  // namespace taskmem
