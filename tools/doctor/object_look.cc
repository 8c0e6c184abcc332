#include "tools/doctor/object_look.h"

#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace taskmem {
namespace {

// A library of 100 MB has some 500,000.
constexpr size_t kMostSymbols = 4'000'000;

constexpr std::array<std::pair<std::string_view, const char*>, 5> kSanitizers = {
    {{"__asan_init", "AddressSanitizer"},
     {"__tsan_init", "ThreadSanitizer"},
     {"__msan_init", "MemorySanitizer"},
     {"__hwasan_init", "HWAddressSanitizer"},
     {"__lsan_init", "LeakSanitizer"}}};

// Functions that only builds of the allocator have; a prefix may stand before the first.
void NoteAllocator(std::string_view name, ObjectLook* look) {
  constexpr std::string_view kJemalloc = "mallctlnametomib";
  FoundAllocator found;
  if (name.ends_with(kJemalloc)) {
    found = {"jemalloc", std::string(name.substr(0, name.size() - kJemalloc.size()))};
  } else if (name == "mi_malloc") {
    found = {"mimalloc", "mi_"};
  } else if (name == "tc_malloc") {
    found = {"tcmalloc", "tc_"};
  } else if (name == "rpmalloc" || name == "scalable_malloc") {
    found = {name == "rpmalloc" ? "rpmalloc" : "TBB's allocator", std::string(name)};
  } else {
    return;
  }
  const bool is_known = std::any_of(
      look->allocators.begin(), look->allocators.end(), [&](const FoundAllocator& other) {
        return other.name == found.name && other.prefix == found.prefix;
      });
  constexpr size_t kMostAllocators = 8;
  if (!is_known && look->allocators.size() < kMostAllocators) {
    look->allocators.push_back(std::move(found));
  }
}

void NoteSymbol(std::string_view name, const GElf_Sym& symbol, bool is_dynamic, ObjectLook* look) {
  for (const auto& [init, sanitizer] : kSanitizers) {
    if (name == init) look->sanitizer = sanitizer;
  }
  const bool is_defined = symbol.st_shndx != SHN_UNDEF;
  if (name == "Py_BytesMain" || name == "Py_RunMain") look->is_python = true;
  if (!is_defined) return;
  if (name == "__rust_alloc" || name == "rust_eh_personality" || name == "__rdl_alloc") {
    look->is_rust = true;
  }
  if (name == "_ZN2v82V810InitializeEi" || name == "_ZN2v87Isolate3NewERKNS0_12CreateParamsE") {
    look->is_v8 = true;
  }
  if (name == "_zend_mm_alloc" || name == "zend_mm_startup") look->is_php = true;
  const auto type = GELF_ST_TYPE(symbol.st_info);
  if (type != STT_FUNC && type != STT_GNU_IFUNC) return;
  if (is_dynamic && name == "malloc" && GELF_ST_BIND(symbol.st_info) != STB_LOCAL) {
    look->exports_malloc = true;
  }
  NoteAllocator(name, look);
}

void LookAtSymbols(Elf* elf, Elf_Scn* section, const GElf_Shdr& header, ObjectLook* look) {
  Elf_Data* const data = elf_getdata(section, nullptr);
  if (data == nullptr || header.sh_entsize == 0) return;
  const size_t count = std::min<size_t>(data->d_size / sizeof(Elf64_Sym), kMostSymbols);
  for (size_t i = 0; i < count; ++i) {
    GElf_Sym symbol;
    if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) return;
    const char* const name = elf_strptr(elf, header.sh_link, symbol.st_name);
    if (name != nullptr) NoteSymbol(name, symbol, header.sh_type == SHT_DYNSYM, look);
  }
}

void LookAtSections(Elf* elf, ObjectLook* look) {
  size_t names = 0;
  if (elf_getshdrstrndx(elf, &names) != 0) return;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    const char* const name = elf_strptr(elf, names, header.sh_name);
    if (name != nullptr &&
        (strcmp(name, ".go.buildinfo") == 0 || strcmp(name, ".note.go.buildid") == 0)) {
      look->is_go = true;
    }
    if (header.sh_type == SHT_SYMTAB) look->has_names = true;
    if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM) {
      LookAtSymbols(elf, section, header, look);
    }
  }
}

void LookAtLoader(Elf* elf, int fd, ObjectLook* look) {
  size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return;
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr segment;
    if (gelf_getphdr(elf, static_cast<int>(i), &segment) == nullptr) return;
    if (segment.p_type != PT_INTERP) continue;
    char path[4096];
    const ssize_t got = pread(fd, path, std::min<size_t>(segment.p_filesz, sizeof(path)),
                              static_cast<off_t>(segment.p_offset));
    if (got > 0) look->loader.assign(path, strnlen(path, static_cast<size_t>(got)));
  }
}

}  // namespace

ObjectLook LookAtObject(const std::string& path) {
  ObjectLook look;
  look.path = path;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return look;
  elf_version(EV_CURRENT);
  // Not mapped: who may write to the file could cut it, and end a command of root's.
  Elf* const elf = elf_begin(fd, ELF_C_READ, nullptr);
  GElf_Ehdr header;
  if (elf != nullptr && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header) != nullptr &&
      gelf_getclass(elf) == ELFCLASS64 && header.e_machine == EM_X86_64) {
    look.is_elf = true;
    LookAtLoader(elf, fd, &look);
    LookAtSections(elf, &look);
  }
  if (elf != nullptr) elf_end(elf);
  close(fd);
  return look;
}

}  // namespace taskmem
