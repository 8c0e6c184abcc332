// Which names of a table of symbols are short, told by where the names begin, without reading them.
// The names of a large library are tens of megabytes, and few of their pages are looked at so.
#ifndef TASKMEM_SHIM_ADOPT_NAME_STARTS_H_
#define TASKMEM_SHIM_ADOPT_NAME_STARTS_H_

#include <elf.h>

#include <cstddef>
#include <cstdint>

#include "accounting/base/kernel_memory.h"

namespace taskmem::adopt {

// A bit for every 4 bytes of the names: the name of some symbol begins there. Linkers, and what
// changes their files, write no names into .symtab's that no symbol has, so that one whose end is
// near has another's start near (names may share their ends: then that is behind all of them). Not
// thread-safe.
class NameStarts {
 public:
  static constexpr size_t kLeastBytes = 4;
  static constexpr size_t kMostBytes = 240;

  // Of a table that has more than its symbols' names, as .dynsym's has, none is known.
  NameStarts(const Elf64_Sym* symbols, uint64_t count, uint64_t name_bytes, bool has_own_names) {
    const uint64_t bits = name_bytes / kGrain + 1;
    const uint64_t words = bits / 64 + 2;  // every word that may be asked for has a next one
    if (!has_own_names || count == 0) return;
    words_ = static_cast<uint64_t*>(MapZeroed(words * sizeof(*words_)));
    if (words_ == nullptr) return;
    word_count_ = words;
    for (uint64_t i = 0; i < count; ++i) {
      if (symbols[i].st_name < name_bytes) Set(symbols[i].st_name);
    }
    Set(name_bytes);
  }
  ~NameStarts() {
    if (words_ != nullptr) Unmap(words_, word_count_ * sizeof(*words_));
  }
  NameStarts(const NameStarts&) = delete;
  NameStarts& operator=(const NameStarts&) = delete;

  // Whether a symbol's name that begins at `start` may be of kLeastBytes to `most`, at most
  // kMostBytes. Never false of one that is.
  bool MayBeShort(uint64_t start, size_t most) const {
    const uint64_t first = start / kGrain + 1;
    if (words_ == nullptr || first / 64 + 1 >= word_count_) return true;
    const uint64_t shift = first % 64;
    uint64_t window = words_[first / 64] >> shift;
    if (shift != 0) window |= words_[first / 64 + 1] << (64 - shift);
    // The next begins at most so many grains behind this one's.
    const uint64_t grains = (most + kGrain) / kGrain;
    return (window & ((uint64_t{1} << grains) - 1)) != 0;
  }

 private:
  static constexpr uint64_t kGrain = 4;

  void Set(uint64_t start) { words_[start / kGrain / 64] |= uint64_t{1} << (start / kGrain % 64); }

  uint64_t* words_ = nullptr;
  uint64_t word_count_ = 0;
};

}  // namespace taskmem::adopt

#endif  // TASKMEM_SHIM_ADOPT_NAME_STARTS_H_
