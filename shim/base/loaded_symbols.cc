#include "shim/base/loaded_symbols.h"

#include <dlfcn.h>

#include <cstring>

namespace taskmem {
namespace {

uint32_t HashOf(const char* name) {
  uint32_t hash = 5381;
  for (; *name != '\0'; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

// The head of a table of kind DT_GNU_HASH; behind it lie a Bloom filter, the buckets and, for
// each symbol from `first_symbol` on, its hash: the lowest bit of the last in a bucket is set.
struct HashHead {
  uint32_t buckets;
  uint32_t first_symbol;
  uint32_t filter_words;
  uint32_t filter_shift;
};

}  // namespace

// The loader has made addresses of offsets, but for a library whose table cannot be written. What
// a library is moved by may be less than nothing, where it was linked for an address.
uintptr_t DynamicAddress(const link_map& library, const ElfW(Dyn) & entry) {
  const uintptr_t value = entry.d_un.d_ptr;
  dl_find_object around;
  const bool is_there = _dl_find_object(reinterpret_cast<void*>(value), &around) == 0 &&
                        around.dlfo_link_map == &library;
  return is_there || value >= library.l_addr ? value : value + library.l_addr;
}

LoadedSymbols LoadedSymbols::Around(const void* address) {
  LoadedSymbols result;
  dl_find_object found;
  if (_dl_find_object(const_cast<void*>(address), &found) != 0) return result;
  result.base_ = found.dlfo_link_map->l_addr;
  const auto pointer = [&](const ElfW(Dyn) * entry) {
    return DynamicAddress(*found.dlfo_link_map, *entry);
  };
  for (const ElfW(Dyn)* entry = found.dlfo_link_map->l_ld; entry->d_tag != DT_NULL; ++entry) {
    switch (entry->d_tag) {
      case DT_SYMTAB: result.symbols_ = reinterpret_cast<const ElfW(Sym)*>(pointer(entry)); break;
      case DT_STRTAB: result.names_ = reinterpret_cast<const char*>(pointer(entry)); break;
      case DT_VERSYM: result.versions_ = reinterpret_cast<const ElfW(Half)*>(pointer(entry)); break;
      case DT_GNU_HASH: result.hash_ = reinterpret_cast<const uint32_t*>(pointer(entry)); break;
      default: break;
    }
  }
  if (result.symbols_ == nullptr || result.names_ == nullptr) result.hash_ = nullptr;
  return result;
}

LoadedSymbols::Function LoadedSymbols::Find(const char* name, unsigned type) const {
  if (hash_ == nullptr) return {};
  HashHead head;
  memcpy(&head, hash_, sizeof(head));
  if (head.buckets == 0) return {};
  const uint32_t* const buckets =
      hash_ + sizeof(head) / sizeof(uint32_t) +
      size_t{head.filter_words} * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
  const uint32_t* const hashes = buckets + head.buckets;
  const uint32_t hash = HashOf(name);
  uint32_t index = buckets[hash % head.buckets];
  if (index < head.first_symbol) return {};  // an empty bucket
  for (;; ++index) {
    const uint32_t seen = hashes[index - head.first_symbol];
    const ElfW(Sym)& symbol = symbols_[index];
    constexpr ElfW(Half) kHidden = 0x8000;  // an old version, for who was linked against it
    if ((seen | 1) == (hash | 1) && ELF64_ST_TYPE(symbol.st_info) == type &&
        symbol.st_shndx != SHN_UNDEF &&
        (versions_ == nullptr || (versions_[index] & kHidden) == 0) &&
        strcmp(names_ + symbol.st_name, name) == 0) {
      return {reinterpret_cast<unsigned char*>(base_ + symbol.st_value), symbol.st_size};
    }
    if ((seen & 1) != 0) return {};
  }
}

}  // namespace taskmem
