#include "shim/base/loaded_symbols.h"

#include <dlfcn.h>

#include <cstring>

namespace taskmem {
namespace {

uint32_t GnuHashOf(const char* name) {
  uint32_t hash = 5381;
  for (; *name != '\0'; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

// Of the older kind, as System V has it.
uint32_t HashOf(const char* name) {
  uint32_t hash = 0;
  for (; *name != '\0'; ++name) {
    hash = (hash << 4) + static_cast<unsigned char>(*name);
    const uint32_t high = hash & 0xf0000000;
    hash ^= high >> 24;
    hash &= ~high;
  }
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

// Of a table of kind DT_HASH; behind it lie the buckets, each the first symbol of a chain, and the
// next in its chain for each symbol. 0 ends one.
struct OldHashHead {
  uint32_t buckets;
  uint32_t symbols;
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
      case DT_STRSZ: result.name_bytes_ = entry->d_un.d_val; break;
      case DT_VERSYM: result.versions_ = reinterpret_cast<const ElfW(Half)*>(pointer(entry)); break;
      case DT_GNU_HASH: result.gnu_hash_ = reinterpret_cast<const uint32_t*>(pointer(entry)); break;
      case DT_HASH: result.hash_ = reinterpret_cast<const uint32_t*>(pointer(entry)); break;
      default: break;
    }
  }
  result.library_ = found.dlfo_link_map;
  if (!result.HasAll(result.names_, result.name_bytes_)) return {};
  return result;
}

// Its tables may lie in several parts of it.
bool LoadedSymbols::HasAll(const void* start, uint64_t bytes) const {
  dl_find_object part;
  return _dl_find_object(const_cast<void*>(start), &part) == 0 && part.dlfo_link_map == library_ &&
         bytes <=
             reinterpret_cast<uintptr_t>(part.dlfo_map_end) - reinterpret_cast<uintptr_t>(start);
}

bool LoadedSymbols::Is(uint32_t index, const char* name, unsigned type) const {
  constexpr ElfW(Half) kHidden = 0x8000;  // an old version, for who was linked against it
  if (!HasAll(symbols_ + index, sizeof(ElfW(Sym)))) return false;
  const ElfW(Sym)& symbol = symbols_[index];
  if (ELF64_ST_TYPE(symbol.st_info) != type || symbol.st_shndx == SHN_UNDEF ||
      symbol.st_name >= name_bytes_) {
    return false;
  }
  if (versions_ != nullptr &&
      (!HasAll(versions_ + index, sizeof(versions_[0])) || (versions_[index] & kHidden) != 0)) {
    return false;
  }
  const size_t bytes = strlen(name) + 1;
  return bytes <= name_bytes_ - symbol.st_name && memcmp(names_ + symbol.st_name, name, bytes) == 0;
}

LoadedSymbols::Function LoadedSymbols::At(uint32_t index) const {
  const ElfW(Sym)& symbol = symbols_[index];
  return {reinterpret_cast<unsigned char*>(base_ + symbol.st_value), symbol.st_size};
}

LoadedSymbols::Function LoadedSymbols::FindByGnuHash(const char* name, unsigned type) const {
  HashHead head;
  if (!HasAll(gnu_hash_, sizeof(head))) return {};
  memcpy(&head, gnu_hash_, sizeof(head));
  if (head.buckets == 0) return {};
  const uint32_t* const buckets =
      gnu_hash_ + sizeof(head) / sizeof(uint32_t) +
      size_t{head.filter_words} * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
  const uint32_t* const hashes = buckets + head.buckets;
  const uint32_t hash = GnuHashOf(name);
  const uint32_t* const bucket = &buckets[hash % head.buckets];
  if (!HasAll(bucket, sizeof(*bucket))) return {};
  uint32_t index = *bucket;
  if (index < head.first_symbol) return {};  // an empty bucket
  for (;; ++index) {
    const uint32_t* const seen = &hashes[index - head.first_symbol];
    if (!HasAll(seen, sizeof(*seen))) return {};
    if ((*seen | 1) == (hash | 1) && Is(index, name, type)) return At(index);
    if ((*seen & 1) != 0) return {};
  }
}

LoadedSymbols::Function LoadedSymbols::FindByHash(const char* name, unsigned type) const {
  OldHashHead head;
  if (!HasAll(hash_, sizeof(head))) return {};
  memcpy(&head, hash_, sizeof(head));
  const uint32_t* const buckets = hash_ + sizeof(head) / sizeof(uint32_t);
  const uint32_t* const next = buckets + head.buckets;
  if (head.buckets == 0 ||
      !HasAll(buckets, (uint64_t{head.buckets} + head.symbols) * sizeof(uint32_t))) {
    return {};
  }
  uint32_t index = buckets[HashOf(name) % head.buckets];
  // No chain is longer than all, but where it leads in a circle.
  for (uint32_t steps = 0; index != 0 && index < head.symbols && steps < head.symbols; ++steps) {
    if (Is(index, name, type)) return At(index);
    index = next[index];
  }
  return {};
}

LoadedSymbols::Function LoadedSymbols::Find(const char* name, unsigned type) const {
  if (gnu_hash_ != nullptr) return FindByGnuHash(name, type);
  return hash_ != nullptr ? FindByHash(name, type) : Function{};
}

}  // namespace taskmem
