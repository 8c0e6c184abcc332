#include "shim/mapping_book/callers.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <atomic>
#include <cstdio>
#include <cstring>

#include "accounting/base/base_name.h"
#include "accounting/mappings/mapping_tag.h"
#include "shim/adopt/allocators.h"
#include "shim/adopt/required.h"
#include "shim/base/os.h"
#include "shim/code/mapped_file.h"

namespace taskmem {
namespace {

constexpr uint32_t kMaxLibraries = MappingTag::kMaxLibraries;

// Where a library lies: what tells a library that was closed from a later one in its place.
struct Place {
  std::atomic<uint32_t> library{0};  // 0: nobody yet
  uintptr_t start = 0;
  uintptr_t end = 0;
  const void* link_map = nullptr;
};

// Zero all of it, so that nothing is touched before it is used: DescribeLibraries names the first.
constinit Library g_libraries[kMaxLibraries] = {};
constinit std::atomic<bool> g_is_written[kMaxLibraries] = {};
std::atomic<uint32_t> g_library_count{1};
constinit Place g_places[kMaxLibraries] = {};
std::atomic<uint32_t> g_place_count{0};

struct KnownSymbol {
  const char* suffix;  // of a function the library defines
  Allocator allocator;
};

// Names that only a build of the allocator defines, whatever prefix it was given.
constexpr KnownSymbol kKnownSymbols[] = {
    {"mallctlnametomib", Allocator::kJemalloc},
    {"mi_heap_malloc_zero", Allocator::kMimalloc},
    {"mi_heap_malloc_aligned_at", Allocator::kMimalloc},
    {"tc_malloc_skip_new_handler", Allocator::kTcmalloc},
    {"runtime.mallocgc", Allocator::kGo},
    {"MallocExtension_Internal_GetNumericProperty", Allocator::kTcmalloc},
    {"blas_memory_alloc", Allocator::kOpenBlas},
    {"ruby_xmalloc2", Allocator::kRuby},
};

bool EndsWith(const char* text, size_t length, const char* suffix) {
  const size_t suffix_length = strlen(suffix);
  return length >= suffix_length &&
         memcmp(text + length - suffix_length, suffix, suffix_length) == 0;
}

// The allocator whose functions the symbols of one table define.
Allocator FindInTable(const MappedFile& file, const Elf64_Shdr& table, const Elf64_Shdr& names) {
  const uint64_t count = table.sh_size / sizeof(Elf64_Sym);
  const auto* symbols = file.At<Elf64_Sym>(table.sh_offset, count);
  const char* texts = file.At<char>(names.sh_offset, names.sh_size);
  if (symbols == nullptr || texts == nullptr || names.sh_size == 0) return Allocator::kNone;
  for (uint64_t i = 0; i < count; ++i) {
    const Elf64_Sym& symbol = symbols[i];
    if (symbol.st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol.st_info) != STT_FUNC ||
        symbol.st_name >= names.sh_size) {
      continue;
    }
    const char* name = texts + symbol.st_name;
    const size_t length = strnlen(name, names.sh_size - symbol.st_name);
    for (const KnownSymbol& known : kKnownSymbols) {
      if (EndsWith(name, length, known.suffix)) return known.allocator;
    }
  }
  return Allocator::kNone;
}

struct KnownText {
  const char* text;  // that any build of the allocator has, for its messages
  Allocator allocator;
};
constexpr KnownText kKnownTexts[] = {
    {"<jemalloc>: ", Allocator::kJemalloc},
    {"mimalloc: ", Allocator::kMimalloc},
    {"tcmalloc: ", Allocator::kTcmalloc},
};

// The allocator that the file brings with it, where its functions have no names any more: by its
// constants.
Allocator FindByTexts(const MappedFile& file, const Elf64_Ehdr& header,
                      const Elf64_Shdr* sections) {
  if (header.e_shstrndx >= header.e_shnum) return Allocator::kNone;
  const Elf64_Shdr& table = sections[header.e_shstrndx];
  const char* const names = file.At<char>(table.sh_offset, table.sh_size);
  constexpr char kConstants[] = ".rodata";
  for (uint32_t i = 0; names != nullptr && i < header.e_shnum; ++i) {
    const Elf64_Shdr& section = sections[i];
    if (section.sh_type != SHT_PROGBITS || section.sh_name >= table.sh_size ||
        strncmp(names + section.sh_name, kConstants,
                strnlen(kConstants, table.sh_size - section.sh_name)) != 0) {
      continue;
    }
    const char* const start = file.At<char>(section.sh_offset, section.sh_size);
    for (const KnownText& known : kKnownTexts) {
      if (start != nullptr &&
          memmem(start, section.sh_size, known.text, strlen(known.text)) != nullptr) {
        return known.allocator;
      }
    }
  }
  return Allocator::kNone;
}

// How it was found: nullptr, or what is to be said of its functions' names.
Allocator FindInFile(const char* path, const char** of_names) {
  const MappedFile file(path);
  const auto* header = file.At<Elf64_Ehdr>(0, 1);
  if (header == nullptr || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_shentsize != sizeof(Elf64_Shdr)) {
    return Allocator::kNone;
  }
  const auto* sections = file.At<Elf64_Shdr>(header->e_shoff, header->e_shnum);
  if (sections == nullptr) return Allocator::kNone;
  bool is_stripped = true;
  for (uint32_t i = 0; i < header->e_shnum; ++i) {
    const Elf64_Shdr& table = sections[i];
    if (table.sh_type == SHT_SYMTAB) is_stripped = false;
    if ((table.sh_type != SHT_SYMTAB && table.sh_type != SHT_DYNSYM) ||
        table.sh_link >= header->e_shnum) {
      continue;
    }
    const Allocator found = FindInTable(file, table, sections[table.sh_link]);
    if (found != Allocator::kNone) return found;
  }
  *of_names = is_stripped ? "stripped: its functions have no names"
                          : "its functions have no names that are known";
  return FindByTexts(file, *header, sections);
}

bool BeginsWith(const char* text, const char* prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

// "python3.11" and "libpython3.so", not "python3-config".
bool IsPython(const char* base) {
  if (BeginsWith(base, "libpython")) return true;
  if (!BeginsWith(base, "python")) return false;
  return base[strspn(base, "python.0123456789")] == '\0';
}

// Says why it keeps its own memory, unless adoption has spoken of it already.
void ListKept(Allocator allocator, const char* name, const char* base, const char* of_names) {
  if (HasAllocators(base)) return;
  const char* how = "nothing is known of how to adopt it";
  AdoptionState state = AdoptionState::kKept;
  if (IsRuntime(allocator)) {
    how = "a managed heap, charged to no task";
    state = AdoptionState::kApart;
  } else if (allocator == Allocator::kPython) {
    how = HasPythonMalloc()
              ? "its stacks of frames; objects are in malloc's blocks (PYTHONMALLOC)"
              : "its arenas serve all threads (PYTHONMALLOC=malloc would take taskmem's blocks)";
    state = AdoptionState::kApart;
  } else if (allocator == Allocator::kOpenBlas) {
    how = "work space, charged by what is in memory";
    state = AdoptionState::kApart;
  } else if (allocator == Allocator::kRuby) {
    how = "room for objects and fibers, charged by what is in memory";
    state = AdoptionState::kApart;
  } else if (of_names != nullptr) {
    how = of_names;
  } else if (allocator == Allocator::kJemalloc) {
    how = "--adopt is off, or it cannot be looked at";
  }
  ListAllocator({name, base, "", how}, state);
  if (state == AdoptionState::kKept) EndIfRequired(name, base, how);
}

// Of a file's name that stands behind its allocator's.
constexpr int kBaseInAllocators = 40;

Library Examine(const char* path) {
  const char* base = BaseName(path);
  Library library = {};
  const char* of_names = nullptr;
  if (BeginsWith(base, "libjvm.so")) {
    library.allocator = Allocator::kJvm;
  } else if (strcmp(base, "node") == 0 || strcmp(base, "nodejs") == 0 ||
             BeginsWith(base, "libnode.so") || BeginsWith(base, "libv8")) {
    library.allocator = Allocator::kV8;
  } else if (IsPython(base)) {
    library.allocator = Allocator::kPython;
  } else {
    // What adoption has found in it already is not looked for again: it may have millions of names.
    library.allocator = HasAllocator(base, "jemalloc")   ? Allocator::kJemalloc
                        : HasAllocator(base, "mimalloc") ? Allocator::kMimalloc
                                                         : FindInFile(path, &of_names);
  }
  const char* name = nullptr;
  switch (library.allocator) {
    case Allocator::kNone: break;
    case Allocator::kJemalloc: name = "jemalloc"; break;
    case Allocator::kMimalloc: name = "mimalloc"; break;
    case Allocator::kTcmalloc: name = "tcmalloc"; break;
    case Allocator::kPython: name = "CPython"; break;
    case Allocator::kGo: name = "Go"; break;
    case Allocator::kJvm: name = "JVM"; break;
    case Allocator::kV8: name = "V8"; break;
    case Allocator::kOpenBlas: name = "OpenBLAS"; break;
    case Allocator::kRuby: name = "Ruby"; break;
  }
  library.is_sparse =
      library.allocator != Allocator::kNone && library.allocator != Allocator::kPython;
  if (name != nullptr) {
    snprintf(library.name, sizeof(library.name), "%s in %.*s", name, kBaseInAllocators, base);
    ListKept(library.allocator, name, base, of_names);
  } else {
    snprintf(library.name, sizeof(library.name), "%.55s", base);
  }
  return library;
}

// 0: the table is full.
uint32_t AddLibrary(const Library& library) {
  const uint32_t count = g_library_count.load(std::memory_order_acquire);
  for (uint32_t i = 1; i < count; ++i) {
    if (g_is_written[i].load(std::memory_order_acquire) &&
        strcmp(g_libraries[i].name, library.name) == 0) {
      return i;
    }
  }
  uint32_t index = count;
  do {
    if (index >= kMaxLibraries) return 0;
  } while (!g_library_count.compare_exchange_weak(index, index + 1));
  g_libraries[index] = library;
  g_is_written[index].store(true, std::memory_order_release);
  return index;
}

// The first whose file has that name. 0: there is none.
uint32_t FindByFile(const char* base) {
  char allocators[kBaseInAllocators + 8];
  snprintf(allocators, sizeof(allocators), " in %.*s", kBaseInAllocators, base);
  const uint32_t count = LibraryCount();
  for (uint32_t i = 1; i < count; ++i) {
    const char* const name = g_libraries[i].name;
    if (strcmp(name, base) == 0 || EndsWith(name, strlen(name), allocators)) return i;
  }
  return 0;
}

uint32_t AddPlace(const dl_find_object& object) {
  char path[512];
  const char* name = object.dlfo_link_map->l_name;
  if (name == nullptr || name[0] == '\0') {
    os::ReadLink("/proc/self/exe", path, sizeof(path));
    name = path;
  }
  uint32_t index = g_place_count.load(std::memory_order_relaxed);
  // With no room left this is asked at each call: no file is looked at each time.
  if (index >= kMaxLibraries) {
    const uint32_t known = FindByFile(BaseName(name));
    if (known != 0) return known;
  }
  const uint32_t library = AddLibrary(Examine(name));
  do {
    if (index >= kMaxLibraries) return library;
  } while (!g_place_count.compare_exchange_weak(index, index + 1));
  Place& place = g_places[index];
  place.start = reinterpret_cast<uintptr_t>(object.dlfo_map_start);
  place.end = reinterpret_cast<uintptr_t>(object.dlfo_map_end);
  place.link_map = object.dlfo_link_map;
  place.library.store(library, std::memory_order_release);
  return library;
}

}  // namespace

uint32_t LibraryOf(const void* return_address) {
  // No lock: safe in signal handlers, and before any constructor.
  dl_find_object object;
  if (_dl_find_object(const_cast<void*>(return_address), &object) != 0) return 0;
  const auto start = reinterpret_cast<uintptr_t>(object.dlfo_map_start);
  const auto end = reinterpret_cast<uintptr_t>(object.dlfo_map_end);
  const uint32_t count = g_place_count.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < count && i < kMaxLibraries; ++i) {
    const Place& place = g_places[i];
    const uint32_t library = place.library.load(std::memory_order_acquire);
    if (library != 0 && place.start == start && place.end == end &&
        place.link_map == object.dlfo_link_map) {
      return library;
    }
  }
  return AddPlace(object);
}

uint32_t LibraryCount() {
  uint32_t count = 1;
  while (count < kMaxLibraries && g_is_written[count].load(std::memory_order_acquire)) ++count;
  return count;
}
const Library& LibraryAt(uint32_t index) {
  static constexpr Library kUnknown = {"unknown", Allocator::kNone, false};
  return index != 0 ? g_libraries[index] : kUnknown;
}

void DescribeLibraries(AuditLayout* layout) {
  g_libraries[0] = LibraryAt(0);
  layout->libraries = reinterpret_cast<uint64_t>(g_libraries);
  layout->library_count = reinterpret_cast<uint64_t>(&g_library_count);
  layout->library_bytes = sizeof(Library);
  layout->library_name_bytes = sizeof(Library::name);
  layout->library_allocator_at = offsetof(Library, allocator);
}

bool IsAllocatorsOwn(const Library& library, uint64_t bytes) {
  // CPython's arenas have one length (256 KiB, from 3.10 on 1 MiB); its mmap module maps
  // whatever it is asked for.
  if (library.allocator == Allocator::kPython) return bytes == 256 * 1024 || bytes == 1024 * 1024;
  // Ruby's pages of objects are 64 KiB, which it fills; what it maps ahead is 20 MiB and more.
  if (library.allocator == Allocator::kRuby) return bytes >= 1024 * 1024;
  return library.allocator != Allocator::kNone;
}

}  // namespace taskmem
