// The process's mapping book, as the rest of the library sees it: who opens it, asks it and
// forks with it.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_MAPPING_QUERIES_H_
#define TASKMEM_SHIM_MAPPING_BOOK_MAPPING_QUERIES_H_

#include <cstdint>

#include "accounting/mappings/mapping_tag.h"

namespace taskmem {

// Called by the constructor, once there are tasks. Calls before are charged to nobody's task.
void OpenMappings(int64_t residency_interval_ns);

// For fork(): the last lock that is taken.
void AddMappingLocks(class ForkLocks* locks);
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
// Runs `step` with the lock held: for residency.cc, which settles there what it has counted.
void WithMappingsLocked(void (*step)(void*), void* argument);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_MAPPING_QUERIES_H_
