#include "shim/code/word_patch.h"

#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>

#include <cstring>

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
  const auto pointer = [&](const Elf64_Dyn* entry) {
    const uintptr_t value = entry->d_un.d_ptr;
    return value < library.l_addr ? value + library.l_addr : value;
  };
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

// Where the library is read-only once the loader has filled it in. Empty: nowhere.
void FindReadOnly(const link_map& library, uintptr_t* start, uintptr_t* end) {
  *start = *end = 0;
  dl_find_object object;
  if (_dl_find_object(library.l_ld, &object) != 0) return;
  const auto* const header = static_cast<const Elf64_Ehdr*>(object.dlfo_map_start);
  if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return;
  const auto* const segments = reinterpret_cast<const Elf64_Phdr*>(
      static_cast<const char*>(object.dlfo_map_start) + header->e_phoff);
  constexpr uintptr_t kPageMask = 4095;
  for (int i = 0; i < header->e_phnum; ++i) {
    if (segments[i].p_type != PT_GNU_RELRO) continue;
    *start = (library.l_addr + segments[i].p_vaddr) & ~kPageMask;
    *end = (library.l_addr + segments[i].p_vaddr + segments[i].p_memsz) & ~kPageMask;
  }
}

bool Protect(uintptr_t start, uintptr_t end, int protection) {
  return !os::Failed(
      os::Call(SYS_mprotect, static_cast<long>(start), static_cast<long>(end - start), protection));
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

bool WriteWords(const link_map& library, void** const* places, size_t count, void* value) {
  uintptr_t start;
  uintptr_t end;
  FindReadOnly(library, &start, &end);
  bool is_opened = false;
  for (size_t i = 0; i < count; ++i) {
    const auto place = reinterpret_cast<uintptr_t>(places[i]);
    if (place >= start && place < end) is_opened = true;
  }
  if (is_opened && !Protect(start, end, PROT_READ | PROT_WRITE)) return false;
  for (size_t i = 0; i < count; ++i) __atomic_store_n(places[i], value, __ATOMIC_RELEASE);
  if (is_opened) Protect(start, end, PROT_READ);
  return true;
}

}  // namespace taskmem
