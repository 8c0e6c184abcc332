#include "shim/adopt/allocator_symbols.h"

#include <cstring>
#include <string_view>

#include "shim/adopt/jemalloc_calls.h"
#include "shim/adopt/name_starts.h"

namespace taskmem::adopt {
namespace {

// One table of symbols with its names.
struct SymbolTable {
  const Elf64_Sym* symbols = nullptr;
  uint64_t count = 0;
  const char* names = nullptr;
  uint64_t name_bytes = 0;     // as far as they are terminated
  bool is_whole = false;       // .symtab, which names everything
  bool has_own_names = false;  // each of the names is a symbol's
  const Elf64_Shdr* sections = nullptr;
  uint32_t section_count = 0;

  // nullptr where it is not terminated.
  const char* NameOf(const Elf64_Sym& symbol) const {
    return symbol.st_name < name_bytes ? names + symbol.st_name : nullptr;
  }

  // All of the function lies in the section that the symbol names, which is code.
  bool LiesInCode(const Elf64_Sym& symbol) const {
    if (symbol.st_shndx >= section_count) return false;
    const Elf64_Shdr& section = sections[symbol.st_shndx];
    constexpr uint64_t kCode = SHF_ALLOC | SHF_EXECINSTR;
    return (section.sh_flags & kCode) == kCode && symbol.st_value >= section.sh_addr &&
           symbol.st_value - section.sh_addr <= section.sh_size &&
           symbol.st_size <= section.sh_size - (symbol.st_value - section.sh_addr);
  }
};

const Elf64_Ehdr* HeaderOf(const MappedFile& file) {
  const auto* header = file.At<Elf64_Ehdr>(0, 1);
  if (header == nullptr || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64 ||
      header->e_shentsize != sizeof(Elf64_Shdr) || header->e_phentsize != sizeof(Elf64_Phdr)) {
    return nullptr;
  }
  return header;
}

// Whether the names of that table are also those of sections, libraries or versions.
bool SharesNames(const Elf64_Shdr* sections, const Elf64_Ehdr& header, uint32_t table) {
  const uint32_t names = sections[table].sh_link;
  bool shares = header.e_shstrndx == names;
  for (uint32_t i = 0; i < header.e_shnum; ++i) {
    if (i != table && sections[i].sh_link == names) shares = true;
  }
  return shares;
}

// .symtab; else .dynsym.
SymbolTable TableOf(const MappedFile& file, const Elf64_Ehdr& header) {
  SymbolTable table;
  const auto* sections = file.At<Elf64_Shdr>(header.e_shoff, header.e_shnum);
  if (sections == nullptr) return table;
  bool is_whole = false;
  for (uint32_t i = 0; i < header.e_shnum && !is_whole; ++i) {
    const Elf64_Shdr& section = sections[i];
    is_whole = section.sh_type == SHT_SYMTAB;
    if ((!is_whole && section.sh_type != SHT_DYNSYM) || section.sh_link >= header.e_shnum) {
      continue;
    }
    const Elf64_Shdr& names = sections[section.sh_link];
    const uint64_t count = section.sh_size / sizeof(Elf64_Sym);
    const auto* symbols = file.At<Elf64_Sym>(section.sh_offset, count);
    const char* texts = file.At<char>(names.sh_offset, names.sh_size);
    const void* const last_end =
        symbols != nullptr && texts != nullptr ? memrchr(texts, 0, names.sh_size) : nullptr;
    if (last_end != nullptr) {
      const auto name_bytes = static_cast<uint64_t>(static_cast<const char*>(last_end) - texts) + 1;
      const bool has_own_names = is_whole && !SharesNames(sections, header, i);
      table = {symbols,  count,         texts,    name_bytes,
               is_whole, has_own_names, sections, header.e_shnum};
    }
  }
  return table;
}

// Where the code at `address` lies in the file. 0: nowhere.
uint64_t OffsetOf(const MappedFile& file, const Elf64_Ehdr& header, uint64_t address) {
  const auto* segments = file.At<Elf64_Phdr>(header.e_phoff, header.e_phnum);
  if (segments == nullptr) return 0;
  for (uint32_t i = 0; i < header.e_phnum; ++i) {
    const Elf64_Phdr& segment = segments[i];
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0 && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz) {
      return segment.p_offset + (address - segment.p_vaddr);
    }
  }
  return 0;
}

bool IsFunction(const Elf64_Sym& symbol) {
  return ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
         symbol.st_value != 0;
}

// `name` is one of the compiler's variants of `entry`, which callers may use instead of it.
bool IsVariant(const char* name, const char* entry) {
  const size_t length = strlen(entry);
  if (strncmp(name, entry, length) != 0 || name[length] != '.') return false;
  const char* const kind = name + length;
  // What the function itself calls or jumps to.
  return strncmp(kind, ".cold", 5) != 0 && strncmp(kind, ".part", 5) != 0;
}

void AddEntry(const MappedFile& file, const Elf64_Ehdr& header, const SymbolTable& table,
              const Elf64_Sym& symbol, size_t function, EntryPoints* found) {
  for (size_t i = 0; i < found->count; ++i) {
    if (found->entries[i].address != symbol.st_value) {
      if (found->entries[i].function == function) found->why_not = "a function is there twice";
      continue;
    }
    // Two names of one function.
    if (JemallocTargets(0)[found->entries[i].function] != JemallocTargets(0)[function]) {
      found->why_not = "two of its functions are one";
    }
    return;
  }
  const uint64_t offset = OffsetOf(file, header, symbol.st_value);
  if (!table.LiesInCode(symbol)) {
    found->why_not = "its symbols are damaged";
  } else if (offset == 0 || symbol.st_size < kNearJumpBytes) {
    found->why_not = "a function is too short";
  } else if (found->count == EntryPoints::kMost) {
    found->why_not = "it has too many functions";
  } else {
    found->entries[found->count++] = {symbol.st_value, offset, symbol.st_size, function};
  }
}

// Of the name of a function, whether the allocator has it.
template <size_t kCount>
bool IsOfAllocator(const char* name, const char* prefix,
                   const Replacement (&replacements)[kCount]) {
  const size_t prefix_bytes = strlen(prefix);
  if (strncmp(name, prefix, prefix_bytes) != 0) return false;
  for (const Replacement& replacement : replacements) {
    if (strcmp(name + prefix_bytes, replacement.name) == 0) return true;
  }
  return false;
}

// Whether one of its functions has bytes that another symbol says are another function's.
template <size_t kCount>
bool OverlapsOthers(const SymbolTable& table, const EntryPoints& found,
                    const Replacement (&replacements)[kCount]) {
  uint64_t first = UINT64_MAX;
  uint64_t last = 0;
  for (size_t n = 0; n < found.count; ++n) {
    const EntryPoints::Entry& entry = found.entries[n];
    if (entry.address < first) first = entry.address;
    if (entry.address + entry.bytes > last) last = entry.address + entry.bytes;
  }
  for (uint64_t i = 0; i < table.count; ++i) {
    const Elf64_Sym& symbol = table.symbols[i];
    if (!IsFunction(symbol) || symbol.st_value >= last || !table.LiesInCode(symbol)) continue;
    const uint64_t end = symbol.st_value + symbol.st_size;
    if (end <= first) continue;
    for (size_t n = 0; n < found.count; ++n) {
      const EntryPoints::Entry& entry = found.entries[n];
      if (symbol.st_value >= entry.address + entry.bytes || end <= entry.address) continue;
      const char* const name = table.NameOf(symbol);
      const bool is_it = symbol.st_value == entry.address && name != nullptr &&
                         IsOfAllocator(name, found.prefix, replacements);
      if (!is_it) return true;
    }
  }
  return false;
}

// Where functions begin, by the table for unwinders: .eh_frame_hdr, of the usual encoding.
class FunctionStarts {
 public:
  FunctionStarts(const MappedFile& file, const Elf64_Ehdr& header) {
    const auto* const segments = file.At<Elf64_Phdr>(header.e_phoff, header.e_phnum);
    if (segments == nullptr) return;
    for (uint32_t i = 0; i < header.e_phnum; ++i) {
      if (segments[i].p_type != PT_GNU_EH_FRAME) continue;
      const auto* const head = file.At<Head>(segments[i].p_offset, 1);
      // Version 1; the count as 4 bytes, the table as pairs of distances of 4 bytes each.
      constexpr unsigned char kUsual[] = {0x03, 0x3b};
      if (head == nullptr || head->version != 1 || memcmp(head->encodings, kUsual, 2) != 0) return;
      rows_ = file.At<Row>(segments[i].p_offset + sizeof(Head), head->count);
      if (rows_ != nullptr) count_ = head->count;
      address_ = segments[i].p_vaddr;
      return;
    }
  }

  bool Has(uint64_t address) const {
    uint32_t first = 0;
    uint32_t end = count_;
    while (first < end) {
      const uint32_t middle = first + (end - first) / 2;
      const uint64_t start = address_ + static_cast<uint64_t>(int64_t{rows_[middle].start});
      if (start == address) return true;
      if (start < address) {
        first = middle + 1;
      } else {
        end = middle;
      }
    }
    return false;
  }

 private:
  struct Head {
    unsigned char version;
    unsigned char frames_encoding;
    unsigned char encodings[2];
    int32_t frames;
    uint32_t count;
  };
  struct Row {
    int32_t start;
    int32_t frame;
  };

  const Row* rows_ = nullptr;
  uint32_t count_ = 0;
  uint64_t address_ = 0;
};

// Of a library without unwind tables for it, none of its functions begins there.
bool BeginWhereUnwindersSay(const FunctionStarts& starts, const EntryPoints& found) {
  size_t count = 0;
  for (size_t n = 0; n < found.count; ++n) count += starts.Has(found.entries[n].address);
  return count == 0 || count == found.count;
}

// The name of a symbol, of at most that many bytes; empty: it has none, or another.
std::string_view ShortName(const SymbolTable& table, const NameStarts& starts,
                           const Elf64_Sym& symbol, size_t most_bytes) {
  if (!starts.MayBeShort(symbol.st_name, most_bytes)) return {};
  const char* const name = table.NameOf(symbol);
  if (name == nullptr) return {};
  const size_t bytes = strnlen(name, most_bytes + 1);
  return bytes <= most_bytes ? std::string_view(name, bytes) : std::string_view();
}

// Fills in the functions of the allocator that `found` names by its prefix.
template <size_t kCount>
void FindEntries(const MappedFile& file, const Elf64_Ehdr& header, const SymbolTable& table,
                 const NameStarts& starts, const Replacement (&replacements)[kCount],
                 bool needs_core, EntryPoints* found) {
  const size_t prefix_bytes = strlen(found->prefix);
  // To the prefix: the longest of the names, and what compilers add to those of variants.
  constexpr size_t kMostAdded = 64;
  static_assert(EntryPoints::kPrefixBytes + kMostAdded < NameStarts::kMostBytes);
  bool has[kCount] = {};
  for (uint64_t i = 0; i < table.count && found->why_not == nullptr; ++i) {
    const Elf64_Sym& symbol = table.symbols[i];
    if (!IsFunction(symbol)) continue;
    const std::string_view name = ShortName(table, starts, symbol, prefix_bytes + kMostAdded);
    if (name.empty() || !name.starts_with(found->prefix)) continue;
    // substr() would need the C++ runtime, to throw.
    const char* const own_name = name.data() + prefix_bytes;
    for (size_t n = 0; n < kCount; ++n) {
      if (strcmp(own_name, replacements[n].name) == 0) {
        has[n] = true;
        AddEntry(file, header, table, symbol, n, found);
      } else if (IsVariant(own_name, replacements[n].name)) {
        found->why_not = "the compiler made variants of its functions";
      }
    }
  }
  if (found->why_not != nullptr) return;
  const auto has_one_of = [&](const char* a, const char* b, const char* c) {
    for (size_t n = 0; n < kCount; ++n) {
      const char* const name = replacements[n].name;
      if (has[n] && (strcmp(name, a) == 0 || strcmp(name, b) == 0 || strcmp(name, c) == 0)) {
        return true;
      }
    }
    return false;
  };
  bool is_complete = needs_core || (has_one_of("malloc", "mallocx", "calloc") &&
                                    has_one_of("free", "dallocx", "sdallocx"));
  for (size_t n = 0; n < kCount && needs_core; ++n) {
    if (replacements[n].is_core && !has[n]) is_complete = false;
  }
  if (!is_complete) {
    found->why_not = "not all of its functions have names";
  } else if (OverlapsOthers(table, *found, replacements) ||
             !BeginWhereUnwindersSay(FunctionStarts(file, header), *found)) {
    found->why_not = "its symbols are damaged";
  }
}

// mimalloc has asked for huge pages ever since one of its options is that it shall not. The name is
// among the library's constants.
bool HasHugePagesOption(const MappedFile& file, const SymbolTable& table) {
  constexpr char kOption[] = "allow_thp";
  constexpr uint64_t kMostBytes = uint64_t{64} << 20;
  for (uint32_t i = 0; i < table.section_count; ++i) {
    const Elf64_Shdr& section = table.sections[i];
    const bool is_constant = section.sh_type == SHT_PROGBITS && section.sh_flags == SHF_ALLOC;
    if (!is_constant || section.sh_size > kMostBytes) continue;
    const char* const start = file.At<char>(section.sh_offset, section.sh_size);
    if (start != nullptr && memmem(start, section.sh_size, kOption, sizeof(kOption)) != nullptr) {
      return true;
    }
  }
  return false;
}

}  // namespace

// A library has hundreds of thousands of symbols, and few of these names.
size_t FindAllocators(const MappedFile& file, bool is_arrows, EntryPoints* found, size_t most) {
  const Elf64_Ehdr* const header = HeaderOf(file);
  if (header == nullptr) return 0;
  const SymbolTable table = TableOf(file, *header);
  if (table.count == 0) return 0;
  constexpr std::string_view kMark = "mallctlnametomib";
  constexpr size_t kMostBytes = EntryPoints::kPrefixBytes - 1 + kMark.size();
  const NameStarts starts(table.symbols, table.count, table.name_bytes, table.has_own_names);
  const auto add_arrow = [&](const char* prefix, EntryPoints* arrow) {
    *arrow = {};
    memcpy(arrow->prefix, prefix, strlen(prefix));
    FindEntries(file, *header, table, starts, kArrowMimallocFunctions, /*needs_core=*/true, arrow);
    arrow->asks_for_huge_pages = HasHugePagesOption(file, table);
  };
  bool has_arrow = false;
  bool has_old_arrow = false;
  size_t count = 0;
  for (uint64_t i = 0; i < table.count && count < most; ++i) {
    const Elf64_Sym& symbol = table.symbols[i];
    if (!IsFunction(symbol)) continue;
    const std::string_view name = ShortName(table, starts, symbol, kMostBytes);
    if (name == "arrow_mi_malloc_aligned") {
      add_arrow(kArrowPrefix, &found[count++]);
      has_arrow = true;
    } else if (name == "mi_malloc_aligned") {
      has_old_arrow = is_arrows;
    }
    if (!name.ends_with(kMark)) continue;
    EntryPoints& jemalloc = found[count++] = {};
    jemalloc.is_jemalloc = true;
    memcpy(jemalloc.prefix, name.data(), name.size() - kMark.size());
    // Without a prefix its malloc and free are the program's, and so taskmem's already, or others'
    // still: its own calls, mallocx and its kin, must go with them.
    const bool needs_core = !table.is_whole || jemalloc.prefix[0] == '\0';
    FindEntries(file, *header, table, starts, kJemallocFunctions, needs_core, &jemalloc);
  }
  if (has_old_arrow && !has_arrow && count < most) add_arrow(kOldArrowPrefix, &found[count++]);
  return count;
}

bool ImageRange(const MappedFile& file, uint64_t* start, uint64_t* end) {
  const Elf64_Ehdr* const header = HeaderOf(file);
  const Elf64_Phdr* const segments =
      header != nullptr ? file.At<Elf64_Phdr>(header->e_phoff, header->e_phnum) : nullptr;
  if (segments == nullptr) return false;
  *start = UINT64_MAX;
  *end = 0;
  for (uint32_t i = 0; i < header->e_phnum; ++i) {
    const Elf64_Phdr& segment = segments[i];
    if (segment.p_type != PT_LOAD) continue;
    constexpr uint64_t kMostAddress = uint64_t{1} << 47;
    if (segment.p_vaddr > kMostAddress || segment.p_memsz > kMostAddress - segment.p_vaddr) {
      return false;
    }
    if (segment.p_vaddr < *start) *start = segment.p_vaddr;
    if (segment.p_vaddr + segment.p_memsz > *end) *end = segment.p_vaddr + segment.p_memsz;
  }
  return *start < *end;
}

}  // namespace taskmem::adopt
