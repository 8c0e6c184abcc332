// What a loaded library exports, from its hash table, of either kind: without the loader, whose
// functions allocate, take its locks, or (dladdr) look at every symbol there is. What the tables
// say of places outside the library is not followed.
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
  bool HasAll(const void* start, uint64_t bytes) const;
  // Whether it is the symbol.
  bool Is(uint32_t index, const char* name, unsigned type) const;
  Function At(uint32_t index) const;
  Function FindByGnuHash(const char* name, unsigned type) const;
  Function FindByHash(const char* name, unsigned type) const;

  const link_map* library_ = nullptr;
  uintptr_t base_ = 0;
  const ElfW(Sym) * symbols_ = nullptr;
  const char* names_ = nullptr;
  uint64_t name_bytes_ = 0;
  const ElfW(Half) * versions_ = nullptr;  // nullptr: the library has none
  // nullptr: no such library, or it has none of this kind.
  const uint32_t* gnu_hash_ = nullptr;  // DT_GNU_HASH
  const uint32_t* hash_ = nullptr;      // DT_HASH
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_LOADED_SYMBOLS_H_
