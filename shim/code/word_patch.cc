#include "shim/code/word_patch.h"

#include <elf.h>
#include <sys/mman.h>

#include <cstring>

#include "shim/base/loaded_symbols.h"
#include "shim/base/maps_file.h"
#include "shim/base/os.h"

namespace taskmem {
namespace {

struct Tables {
  const Elf64_Sym* symbols = nullptr;
  const char* names = nullptr;
  const Elf64_Rela* data = nullptr;
  size_t data_count = 0;
  const Elf64_Rela* imports = nullptr;
  size_t import_count = 0;
};

Tables TablesOf(const link_map& library) {
  Tables tables;
  const auto pointer = [&](const Elf64_Dyn* entry) { return DynamicAddress(library, *entry); };
  for (const Elf64_Dyn* entry = library.l_ld; entry->d_tag != DT_NULL; ++entry) {
    switch (entry->d_tag) {
      case DT_SYMTAB: tables.symbols = reinterpret_cast<const Elf64_Sym*>(pointer(entry)); break;
      case DT_STRTAB: tables.names = reinterpret_cast<const char*>(pointer(entry)); break;
      case DT_RELA: tables.data = reinterpret_cast<const Elf64_Rela*>(pointer(entry)); break;
      case DT_RELASZ: tables.data_count = entry->d_un.d_val / sizeof(Elf64_Rela); break;
      case DT_JMPREL: tables.imports = reinterpret_cast<const Elf64_Rela*>(pointer(entry)); break;
      case DT_PLTRELSZ: tables.import_count = entry->d_un.d_val / sizeof(Elf64_Rela); break;
      default: break;
    }
  }
  return tables;
}

// Pages that are made writable for the time.
struct OpenedPages {
  uintptr_t start;
  uintptr_t end;
};
constexpr size_t kMostOpened = 8;

// What must be made writable, by what the kernel says of the pages. False: a place is not in data.
bool FindReadOnly(const WordChange* changes, size_t change_count, OpenedPages (&pages)[kMostOpened],
                  size_t* page_count) {
  constexpr uintptr_t kPageMask = 4095;
  size_t found = 0;
  bool is_data = true;
  *page_count = 0;
  ForEachMapsLine([&](const MapsLine& line) {
    uintptr_t first = UINTPTR_MAX;
    uintptr_t last = 0;
    for (size_t i = 0; i < change_count; ++i) {
      const auto place = reinterpret_cast<uintptr_t>(changes[i].place);
      if (place % sizeof(void*) != 0 || place < line.start || place >= line.end) continue;
      ++found;
      if (place < first) first = place;
      if (place > last) last = place;
    }
    if (first > last || (line.protection & PROT_WRITE) != 0) return found < change_count;
    if (line.protection != PROT_READ || *page_count == kMostOpened) {
      is_data = false;
      return false;
    }
    pages[(*page_count)++] = {first & ~kPageMask, (last | kPageMask) + 1};
    return found < change_count;
  });
  return is_data && found == change_count;
}

bool Protect(const OpenedPages& pages, int protection) {
  return !os::Failed(os::Call(SYS_mprotect, static_cast<long>(pages.start),
                              static_cast<long>(pages.end - pages.start), protection));
}

}  // namespace

size_t FindReferences(const link_map& library, const char* name, void*** places, size_t most) {
  const Tables tables = TablesOf(library);
  if (tables.symbols == nullptr || tables.names == nullptr) return 0;
  size_t count = 0;
  const auto look = [&](const Elf64_Rela* entries, size_t entry_count) {
    for (size_t i = 0; entries != nullptr && i < entry_count && count < most; ++i) {
      const uint64_t type = ELF64_R_TYPE(entries[i].r_info);
      const uint64_t symbol = ELF64_R_SYM(entries[i].r_info);
      if ((type != R_X86_64_64 && type != R_X86_64_GLOB_DAT && type != R_X86_64_JUMP_SLOT) ||
          symbol == 0 || (type == R_X86_64_64 && entries[i].r_addend != 0) ||
          strcmp(tables.names + tables.symbols[symbol].st_name, name) != 0) {
        continue;
      }
      places[count++] = reinterpret_cast<void**>(library.l_addr + entries[i].r_offset);
    }
  };
  look(tables.data, tables.data_count);
  look(tables.imports, tables.import_count);
  return count;
}

bool WriteWords(const WordChange* changes, size_t count) {
  OpenedPages pages[kMostOpened];
  size_t page_count = 0;
  if (os::IsSealed() || !FindReadOnly(changes, count, pages, &page_count)) return false;
  size_t opened = 0;
  while (opened < page_count && Protect(pages[opened], PROT_READ | PROT_WRITE)) ++opened;
  const bool is_open = opened == page_count;
  for (size_t i = 0; is_open && i < count; ++i) {
    __atomic_store_n(changes[i].place, changes[i].value, __ATOMIC_RELEASE);
  }
  for (size_t i = 0; i < opened; ++i) Protect(pages[i], PROT_READ);
  return is_open;
}

}  // namespace taskmem
