// Words of loaded libraries that the loader has filled in (import tables, tables of virtual
// functions) changed afterwards.
#ifndef TASKMEM_SHIM_CODE_WORD_PATCH_H_
#define TASKMEM_SHIM_CODE_WORD_PATCH_H_

#include <link.h>

#include <cstddef>
#include <cstdint>

namespace taskmem {

inline constexpr size_t kMostWords = 64;

// The places of a library that the loader fills in with the address of the symbol `name`, at most
// `most`: of jumps through its import table (R_X86_64_JUMP_SLOT), or in its data (R_X86_64_64,
// R_X86_64_GLOB_DAT).
size_t FindReferences(const link_map& library, const char* name, void*** places, size_t most);

// Writes `value` into each place, which lies in the library's data, and leaves what is read-only
// read-only. Other threads may read the words meanwhile. False, with nothing changed, where the
// pages cannot be made writable.
bool WriteWords(const link_map& library, void** const* places, size_t count, void* value);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CODE_WORD_PATCH_H_
