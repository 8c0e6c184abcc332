// Words of loaded libraries that the loader has filled in (import tables, tables of virtual
// functions) changed afterwards.
#ifndef TASKMEM_SHIM_CODE_WORD_PATCH_H_
#define TASKMEM_SHIM_CODE_WORD_PATCH_H_

#include <link.h>

#include <cstddef>
#include <cstdint>

namespace taskmem {

// The places of a library that the loader fills in with the address of the symbol `name`, at most
// `most`: of jumps through its import table (R_X86_64_JUMP_SLOT), or in its data (R_X86_64_64,
// R_X86_64_GLOB_DAT).
size_t FindReferences(const link_map& library, const char* name, void*** places, size_t most);

struct WordChange {
  void** place;
  void* value;
};

// Writes each value into its place, which lies in data of a loaded library, and leaves what is
// read-only read-only. Other threads may read the words meanwhile. False, with nothing changed,
// where not all of the places can be written to.
bool WriteWords(const WordChange* changes, size_t count);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CODE_WORD_PATCH_H_
