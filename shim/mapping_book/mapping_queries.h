// The process's mapping book, as the rest of the library asks it. Each takes its lock, but for
// IsInsideMappings.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_MAPPING_QUERIES_H_
#define TASKMEM_SHIM_MAPPING_BOOK_MAPPING_QUERIES_H_

#include <cstdint>

#include "accounting/mappings/mapping_tag.h"

namespace taskmem {

struct MappedRange {
  uint64_t start;
  uint64_t end;
  MappingTag tag;  // LibraryAt(tag.library) in callers.h
};
// Copies ranges that end above `from`, in order. Returns how many.
uint32_t ReadMappings(uint64_t from, MappedRange* ranges, uint32_t most);

// How many bytes of ranges are charged by that rule.
uint64_t MappedBytes(ChargeRule rule);
// Calls that could not be noted: the book is not exact any more. 0, but for a system
// without memory.
uint64_t LostMappingEvents();

// Whether this thread, interrupted by a signal handler, holds the lock: nothing here that
// takes it may be called then, but for the calls themselves.
bool IsInsideMappings();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_MAPPING_QUERIES_H_
