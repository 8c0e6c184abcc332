// The programs and libraries loaded into a process: found by their ELF headers in its memory.
#ifndef TASKMEM_TOOLS_REMOTE_MODULES_H_
#define TASKMEM_TOOLS_REMOTE_MODULES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/remote/remote_memory.h"
#include "tools/remote/smaps.h"

namespace taskmem {

// [start, end) holds all of it: also the zeroed data behind what comes from the file.
struct Module {
  uint64_t start = 0;
  uint64_t end = 0;
  std::string path;

  bool Contains(uint64_t address) const { return address >= start && address < end; }
  std::string Name() const { return path.substr(path.rfind('/') + 1); }
};

// Whether a file of this name is the preload library: "libtaskmem.so", or as it is installed,
// "libtaskmem.so.0.2.0".
bool IsPreloadLibrary(std::string_view file_name);

// In order of address. A file counts where some of it is mapped executable.
std::vector<Module> FindModules(const std::vector<MemoryRange>& ranges, const RemoteMemory& memory);

// The module that contains `address`, or nullptr.
const Module* FindModule(const std::vector<Module>& modules, uint64_t address);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_MODULES_H_
