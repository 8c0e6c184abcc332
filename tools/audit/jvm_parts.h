// Where a JVM (HotSpot) has its heap and what it generates: by the description of its own
// structures that it exports for debuggers (gHotSpotVMStructs), read from outside.
#ifndef TASKMEM_TOOLS_AUDIT_JVM_PARTS_H_
#define TASKMEM_TOOLS_AUDIT_JVM_PARTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tools/remote/modules.h"
#include "tools/remote/remote_memory.h"

namespace taskmem {

struct JvmPart {
  uint64_t start = 0;
  uint64_t end = 0;
  std::string label;  // "JVM heap"
};

// Of the process's libjvm.so; empty where there is none, it has not begun yet, or it does not
// say. Reserved ranges: only some of each is in use.
std::vector<JvmPart> FindJvmParts(const std::vector<Module>& modules, const RemoteMemory& memory);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_AUDIT_JVM_PARTS_H_
