// Allocators that a library brings with it, by the names of their functions.
//
// A build of jemalloc is told by its mallctlnametomib, whatever prefix its names have; Arrow's
// mimalloc by the wrappers through which alone it is used, and in older versions, in libarrow.so
// itself, by the three of mimalloc's functions that it uses. The names may be exported, or local
// and in .symtab only.
#ifndef TASKMEM_SHIM_ADOPT_ALLOCATOR_SYMBOLS_H_
#define TASKMEM_SHIM_ADOPT_ALLOCATOR_SYMBOLS_H_

#include <elf.h>

#include <cstddef>
#include <cstdint>

#include "shim/code/code_patch.h"
#include "shim/code/mapped_file.h"

namespace taskmem::adopt {

// Less than an allocator and its engine have, in the file and in memory.
inline constexpr uint64_t kLeastBytes = 256 * 1024;

// An allocator's entry points, as offsets into its library.
struct EntryPoints {
  static constexpr size_t kMost = 32;
  static constexpr size_t kPrefixBytes = 32;

  struct Entry {
    uint64_t address;      // as the file has it: what the library is moved by is to be added
    uint64_t file_offset;  // of the same code
    uint64_t bytes;        // of the function
    size_t function;       // which of the allocator's (jemalloc_calls.h)
  };

  bool is_jemalloc = false;          // else Arrow's mimalloc
  bool asks_for_huge_pages = false;  // by itself
  char prefix[kPrefixBytes] = {};
  Entry entries[kMost];
  size_t count = 0;
  // Why it is not to be adopted; nullptr: it may be.
  const char* why_not = nullptr;
};

// Looks for allocators in an ELF file of x86-64; `is_arrows`: it is libarrow.so. Returns how many
// it found, at most `most`; of a file that is none, or damaged, 0. Nothing that the file says is
// believed by itself: where its sections, its other symbols and its unwind tables do not say the
// same of a function, the allocator is not to be adopted.
size_t FindAllocators(const MappedFile& file, bool is_arrows, EntryPoints* found, size_t most);

// What addresses the file is mapped to. False: it is no such file, or it says what cannot be.
bool ImageRange(const MappedFile& file, uint64_t* start, uint64_t* end);

}  // namespace taskmem::adopt

#endif  // TASKMEM_SHIM_ADOPT_ALLOCATOR_SYMBOLS_H_
