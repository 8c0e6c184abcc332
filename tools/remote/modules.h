// The programs and libraries loaded into a process: found by their ELF headers in its memory.
#ifndef TASKMEM_TOOLS_REMOTE_MODULES_H_
#define TASKMEM_TOOLS_REMOTE_MODULES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tools/remote/remote_memory.h"
#include "tools/remote/smaps.h"

namespace taskmem {

// A file or folder that stays open.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int fd() const { return fd_; }

 private:
  const int fd_;
};

// [start, end) holds all of it: also the zeroed data behind what comes from the file.
struct Module {
  uint64_t start = 0;
  uint64_t end = 0;
  std::string path;
  uint64_t fingerprint = 0;  // of unloaded_code.h, 0: not known
  bool is_unloaded = false;  // it is at an address of its own (unloaded_modules.h) ...
  uint64_t loaded_at = 0;    // ... and was here
  // Where it is found (module_file.h), if not by its path alone.
  std::shared_ptr<const Descriptor> file = nullptr;
  std::shared_ptr<const Descriptor> root = nullptr;

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
