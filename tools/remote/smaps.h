// What the kernel says of each mapping of a process: /proc/PID/smaps.
#ifndef TASKMEM_TOOLS_REMOTE_SMAPS_H_
#define TASKMEM_TOOLS_REMOTE_SMAPS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace taskmem {

struct MemoryRange {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t offset = 0;  // into the file
  uint64_t inode = 0;   // 0: of no file
  uint64_t resident_bytes = 0;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  bool no_reserve = false;  // mapped with MAP_NORESERVE
  std::string name;         // of the file, or "[heap]" and the like; often empty

  uint64_t bytes() const { return end - start; }
  bool Contains(uint64_t address) const { return address >= start && address < end; }
  std::string Permissions() const;  // "rw-p"
};

// In order of address. Lines that are none of smaps are skipped.
std::vector<MemoryRange> ParseSmaps(std::string_view text);

// The ranges of a live process. Nothing where it cannot be read; errno says why.
std::optional<std::vector<MemoryRange>> ReadSmaps(pid_t pid);
// The same by /proc/PID/maps, which says nothing of what is resident, and costs little.
std::optional<std::vector<MemoryRange>> ReadMaps(pid_t pid);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_SMAPS_H_
