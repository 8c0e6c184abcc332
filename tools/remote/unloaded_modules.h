// Libraries that a process had unloaded (accounting/audit/unloaded_code.h), as modules at addresses
// of their own: nothing else is there, whatever lies now where they were.
#ifndef TASKMEM_TOOLS_REMOTE_UNLOADED_MODULES_H_
#define TASKMEM_TOOLS_REMOTE_UNLOADED_MODULES_H_

#include <cstdint>
#include <map>
#include <vector>

#include "tools/remote/modules.h"
#include "tools/remote/remote_memory.h"

namespace taskmem {

class UnloadedModules {
 public:
  // `head`: the address of an UnloadedHead in the process, 0: there is none.
  UnloadedModules(const RemoteMemory& memory, uint64_t head) : memory_(memory), head_(head) {}

  // A frame as an address: that of a frame in an unloaded library lies in one of modules().
  uint64_t AddressOf(uint64_t frame);

  // Those that were asked for, in order of address, above all others.
  std::vector<Module> modules() const;

 private:
  const Module* Find(uint32_t number);

  const RemoteMemory& memory_;
  const uint64_t head_;
  uint64_t next_start_ = kFirst;
  std::map<uint32_t, Module> known_;  // by number

  static constexpr uint64_t kFirst = RemoteMemory::kAddressEnd + (uint64_t{1} << 32);
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_UNLOADED_MODULES_H_
