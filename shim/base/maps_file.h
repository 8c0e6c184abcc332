// /proc/self/maps, line by line, without allocation.
#ifndef TASKMEM_SHIM_BASE_MAPS_FILE_H_
#define TASKMEM_SHIM_BASE_MAPS_FILE_H_

#include <cstdint>
#include <cstring>

#include "shim/base/os.h"

namespace taskmem {

struct MapsLine {
  uint64_t start;
  uint64_t end;
  uint8_t protection;  // as PROT_READ, PROT_WRITE, PROT_EXEC
  uint64_t offset;     // in the object that is mapped; anonymous private memory has none
  uint64_t device;
  uint64_t inode;    // 0: no object
  const char* name;  // a path, a name in brackets, or ""; while the line is visited
};

// visit(text) for each line's text, in order of addresses, until it returns false. A name is cut
// where it is long. The file is read in small pieces: whoever allocates may have a small stack.
template <typename Visit>
void ForEachMapsText(Visit visit) {
  const long fd = os::Call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/maps"),
                           O_RDONLY | O_CLOEXEC);
  if (os::Failed(fd)) return;
  char buffer[512];
  size_t kept = 0;
  bool is_tail = false;  // of a line that was cut
  bool goes_on = true;
  while (goes_on) {
    const long got = os::Call(SYS_read, fd, reinterpret_cast<long>(buffer + kept),
                              static_cast<long>(sizeof(buffer) - 1 - kept));
    if (got <= 0) break;
    buffer[kept + static_cast<size_t>(got)] = '\0';
    char* line = buffer;
    for (char* end; goes_on && (end = strchr(line, '\n')) != nullptr; line = end + 1) {
      *end = '\0';
      if (!is_tail) goes_on = visit(static_cast<const char*>(line));
      is_tail = false;
    }
    kept = strlen(line);
    if (kept == sizeof(buffer) - 1) {
      if (goes_on && !is_tail) goes_on = visit(static_cast<const char*>(line));
      is_tail = true;
      kept = 0;
    }
    memmove(buffer, line, kept);
  }
  os::Call(SYS_close, fd);
}

// The number at `*at`, behind spaces; leads to what is behind it. strtoull would need a locale,
// which there is none of at the program's start.
inline uint64_t TakeNumber(const char** at, uint64_t base) {
  while (**at == ' ') ++*at;
  uint64_t number = 0;
  for (;; ++*at) {
    const char digit = **at;
    uint64_t value;
    if (digit >= '0' && digit <= '9') {
      value = static_cast<uint64_t>(digit - '0');
    } else if (base == 16 && digit >= 'a' && digit <= 'f') {
      value = static_cast<uint64_t>(digit - 'a') + 10;
    } else {
      return number;
    }
    number = number * base + value;
  }
}

// The same for what a line says.
template <typename Visit>
void ForEachMapsLine(Visit visit) {
  ForEachMapsText([&visit](const char* text) {
    const char* at = text;
    MapsLine parsed = {};
    parsed.start = TakeNumber(&at, 16);
    ++at;
    parsed.end = TakeNumber(&at, 16);
    parsed.protection = static_cast<uint8_t>((at[1] == 'r' ? 1 : 0) | (at[2] == 'w' ? 2 : 0) |
                                             (at[3] == 'x' ? 4 : 0));
    // " rw-s 00001000 fe:00 10248241    /a/file"
    at += 5;
    parsed.offset = TakeNumber(&at, 16);
    const uint64_t major = TakeNumber(&at, 16);
    ++at;
    const uint64_t minor = TakeNumber(&at, 16);
    parsed.device = major << 32 | minor;
    parsed.inode = TakeNumber(&at, 10);
    while (*at == ' ') ++at;
    parsed.name = at;
    return visit(parsed);
  });
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_MAPS_FILE_H_
