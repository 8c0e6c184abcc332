// What a loaded library exports, from its hash table: without the loader, whose functions
// allocate, take its locks, or (dladdr) look at every symbol there is.
#ifndef TASKMEM_SHIM_BASE_LOADED_SYMBOLS_H_
#define TASKMEM_SHIM_BASE_LOADED_SYMBOLS_H_

#include <link.h>

#include <cstddef>
#include <cstdint>

namespace taskmem {

// Where an entry of a loaded library's dynamic section points to, one that is an address.
uintptr_t DynamicAddress(const link_map& library, const ElfW(Dyn) & entry);

class LoadedSymbols {
 public:
  struct Function {
    unsigned char* code;  // nullptr: there is none of that name
    size_t bytes;
  };

  // Of the library that `address` lies in, which must stay loaded.
  static LoadedSymbols Around(const void* address);

  // The default version of the symbol. Neither aliases nor what is chosen at load time (IFUNC)
  // are followed.
  // `type`: STT_FUNC, or STT_OBJECT for data.
  Function Find(const char* name, unsigned type = STT_FUNC) const;

 private:
  uintptr_t base_ = 0;
  const ElfW(Sym) * symbols_ = nullptr;
  const char* names_ = nullptr;
  const ElfW(Half) * versions_ = nullptr;  // nullptr: the library has none
  const uint32_t* hash_ = nullptr;         // nullptr: no such library, or one of another kind
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_LOADED_SYMBOLS_H_
