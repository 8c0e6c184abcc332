// What code of a loaded library is called, by the symbols in its file: for texts that the process
// writes about itself. Callable amid malloc: takes no lock but tries one, allocates nothing, and
// reads files by system calls alone.
#ifndef TASKMEM_SHIM_CODE_CODE_NAME_H_
#define TASKMEM_SHIM_CODE_CODE_NAME_H_

#include <elf.h>

#include <cstddef>
#include <cstdint>

namespace taskmem {

struct CodeName {
  char function[72];  // cut where it is longer; empty: not known
  char library[40];   // the file's name, cut as well; empty: the address is in none
  uint64_t offset;    // of the call from where the library begins
};

// What the search works with: whoever allocates may have little stack.
struct CodeNameScratch {
  Elf64_Sym symbols[1024];
  char path[256];
};

// Of the call that returns to `return_address`. A file that is not the loaded one (any more), or
// has no symbol there, gives no function; nor is any file read under a filter of system calls. The
// last names that were found are kept: others cost a look at all symbols of the file, at most some
// milliseconds.
void NameCall(uint64_t return_address, CodeNameScratch* scratch, CodeName* name);

// "foo::bar" for "_ZN3foo3barEi", without parameters and arguments of templates; as it is where
// that is not known.
void PlainName(const char* symbol, char* name, size_t name_bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CODE_CODE_NAME_H_
