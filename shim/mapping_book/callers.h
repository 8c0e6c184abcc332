// Who maps: the library that a mapping call returns to, and whether it is an allocator or a
// managed heap, whose mappings are not one task's.
//
// A library is looked at when it first maps memory, by its name and its symbols. Nothing
// here takes a lock or calls the loader's interfaces that do.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_CALLERS_H_
#define TASKMEM_SHIM_MAPPING_BOOK_CALLERS_H_

#include <cstdint>

#include "accounting/audit/audit_layout.h"
#include "accounting/mappings/mapping_tag.h"

namespace taskmem {

struct Library {
  static constexpr uint32_t kNameBytes = 56;

  char name[kNameBytes];  // "jemalloc in _duckdb.so"; the file's name where it is no allocator
  Allocator allocator;
  bool is_sparse;  // it maps more than it touches
};

// An index for LibraryAt. 0: not known. Safe in signal handlers. Threads that ask at once, and are
// the first, may have several for one library.
uint32_t LibraryOf(const void* return_address);

// Libraries 0 to LibraryCount() - 1; they never change.
uint32_t LibraryCount();
const Library& LibraryAt(uint32_t index);

// For readers in other processes.
void DescribeLibraries(AuditLayout* layout);

// Whether a private anonymous mapping of that length is the allocator's own, and not one
// the program or an extension asked for by itself.
bool IsAllocatorsOwn(const Library& library, uint64_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_CALLERS_H_
