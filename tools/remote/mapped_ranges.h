// What the program has mapped, and who did: read from the library's own book of that
// (accounting/mappings/mapping_book.h) in another process, while it runs on.
#ifndef TASKMEM_TOOLS_REMOTE_MAPPED_RANGES_H_
#define TASKMEM_TOOLS_REMOTE_MAPPED_RANGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "accounting/audit/audit_layout.h"
#include "accounting/mappings/mapping_tag.h"
#include "tools/remote/remote_memory.h"

namespace taskmem {

struct Mapping {
  uint64_t start = 0;
  uint64_t end = 0;
  MappingTag tag;
};

struct MappingLibrary {
  std::string name;  // "jemalloc in libfoo.so"; the file's name where it is no allocator
  Allocator allocator = Allocator::kNone;
};

struct MappedRanges {
  std::vector<Mapping> ranges;            // in order, without overlaps
  std::vector<MappingLibrary> libraries;  // by MappingTag::library

  const MappingLibrary& LibraryOf(const MappingTag& tag) const;
};

// Reads until two readings agree. Where the process never rests that long, the last: some of
// its ranges may then be missing, or gone.
MappedRanges ReadMappedRanges(const RemoteMemory& memory, const AuditLayout& layout);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_MAPPED_RANGES_H_
