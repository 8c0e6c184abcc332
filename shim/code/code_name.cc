#include "shim/code/code_name.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <sys/uio.h>

#include <atomic>
#include <cstring>

#include "accounting/audit/unloaded_code.h"
#include "accounting/base/base_name.h"
#include "accounting/base/format_text.h"
#include "shim/base/os.h"

namespace taskmem {
namespace {

// --- Names that have been found: by the library's beginning and the place in it, so that they are
// right whatever is loaded at an address later.

struct KnownName {
  uint64_t fingerprint;
  uint64_t offset;
  char function[sizeof(CodeName::function)];
};

constexpr uint64_t kKnownNames = 64;
KnownName g_known_names[kKnownNames];
std::atomic<uint32_t> g_known_names_busy{0};

// Whoever finds another thread there goes without.
template <typename Act>
void WithKnownName(uint64_t fingerprint, uint64_t offset, Act act) {
  if (g_known_names_busy.exchange(1, std::memory_order_acquire) != 0) return;
  act(g_known_names[(fingerprint ^ offset * 0x9e3779b97f4a7c15) >> 32 & (kKnownNames - 1)]);
  g_known_names_busy.store(0, std::memory_order_release);
}

// --- Files of libraries.

class File {
 public:
  explicit File(const char* path)
      : fd_(os::Call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), O_RDONLY | O_CLOEXEC)) {}
  ~File() {
    if (!os::Failed(fd_)) os::Call(SYS_close, fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // How much of it was read, which is less at its end.
  size_t Read(uint64_t offset, void* to, size_t bytes) const {
    if (os::Failed(fd_)) return 0;
    const long got = os::Call(SYS_pread64, fd_, reinterpret_cast<long>(to),
                              static_cast<long>(bytes), static_cast<long>(offset));
    return os::Failed(got) ? 0 : static_cast<size_t>(got);
  }
  bool ReadAll(uint64_t offset, void* to, size_t bytes) const {
    return Read(offset, to, bytes) == bytes;
  }

 private:
  const long fd_;
};

// 0: it cannot be read.
uint64_t FingerprintOfLoaded(const void* start, void* buffer) {
  const iovec local = {buffer, kFingerprintBytes};
  const iovec remote = {const_cast<void*>(start), kFingerprintBytes};
  const long got = os::Call(SYS_process_vm_readv, os::ProcessId(), reinterpret_cast<long>(&local),
                            1, reinterpret_cast<long>(&remote), 1, 0);
  return got == static_cast<long>(kFingerprintBytes) ? Fingerprint(buffer) : 0;
}

// All symbols, or else those that others may use.
bool FindSymbols(const File& file, Elf64_Shdr* symbols, Elf64_Shdr* names) {
  Elf64_Ehdr head;
  if (!file.ReadAll(0, &head, sizeof(head)) || head.e_shentsize != sizeof(Elf64_Shdr)) return false;
  const auto section = [&](uint32_t index, Elf64_Shdr* to) {
    return index < head.e_shnum &&
           file.ReadAll(head.e_shoff + uint64_t{index} * sizeof(*to), to, sizeof(*to));
  };
  bool has_symbols = false;
  for (uint32_t i = 0; i < head.e_shnum; ++i) {
    Elf64_Shdr one;
    if (!section(i, &one)) return false;
    if (one.sh_type != SHT_SYMTAB && (one.sh_type != SHT_DYNSYM || has_symbols)) continue;
    *symbols = one;
    has_symbols = true;
    if (one.sh_type == SHT_SYMTAB) break;
  }
  return has_symbols && section(symbols->sh_link, names);
}

// The symbol of the function that has the address, as the file counts. False: there is none.
bool FindFunction(const File& file, uint64_t address, CodeNameScratch* scratch, char* function,
                  size_t function_bytes) {
  Elf64_Shdr symbols;
  Elf64_Shdr names;
  if (!FindSymbols(file, &symbols, &names)) return false;
  constexpr uint64_t kMostBytes = uint64_t{64} << 20;
  const uint64_t bytes = symbols.sh_size < kMostBytes ? symbols.sh_size : kMostBytes;
  for (uint64_t at = 0; at < bytes; at += sizeof(scratch->symbols)) {
    const uint64_t wanted =
        bytes - at < sizeof(scratch->symbols) ? bytes - at : sizeof(scratch->symbols);
    const size_t got = file.Read(symbols.sh_offset + at, scratch->symbols, wanted);
    for (size_t i = 0; i < got / sizeof(Elf64_Sym); ++i) {
      const Elf64_Sym& symbol = scratch->symbols[i];
      const unsigned type = ELF64_ST_TYPE(symbol.st_info);
      if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF ||
          address < symbol.st_value || address - symbol.st_value >= symbol.st_size) {
        continue;
      }
      char name[160];
      const size_t read = file.Read(names.sh_offset + symbol.st_name, name, sizeof(name) - 1);
      name[read] = '\0';
      PlainName(name, function, function_bytes);
      return function[0] != '\0';
    }
    if (got < wanted) break;
  }
  return false;
}

// A text that was in a file may be shown anywhere.
void KeepPrintable(char* text) {
  for (; *text != '\0'; ++text) {
    if (*text < ' ' || *text > '~') *text = '?';
  }
}

}  // namespace

void NameCall(uint64_t return_address, CodeNameScratch* scratch, CodeName* name) {
  *name = {};
  const uint64_t address = return_address - 1;
  dl_find_object found;
  if (_dl_find_object(reinterpret_cast<void*>(address), &found) != 0) return;
  name->offset = address - reinterpret_cast<uint64_t>(found.dlfo_map_start);
  const char* path = found.dlfo_link_map->l_name;
  // Of the program itself the loader has no path.
  constexpr char kProgram[] = "/proc/self/exe";
  if (path[0] == '\0') path = kProgram;
  const bool reads_files = !os::IsFiltered();
  if (reads_files && path == kProgram) {
    os::ReadLink(path, scratch->path, sizeof(scratch->path));
    FormatText(name->library, sizeof(name->library), "%s", BaseName(scratch->path));
  } else {
    FormatText(name->library, sizeof(name->library), "%s",
               path == kProgram ? "the program" : BaseName(path));
  }
  KeepPrintable(name->library);
  if (!reads_files) return;
  const uint64_t fingerprint = FingerprintOfLoaded(found.dlfo_map_start, scratch->symbols);
  if (fingerprint == 0) return;
  bool is_known = false;
  WithKnownName(fingerprint, name->offset, [&](const KnownName& known) {
    is_known = known.fingerprint == fingerprint && known.offset == name->offset;
    if (is_known) memcpy(name->function, known.function, sizeof(name->function));
  });
  if (is_known) return;
  const File file(path);
  if (!file.ReadAll(0, scratch->symbols, kFingerprintBytes) ||
      Fingerprint(scratch->symbols) != fingerprint) {
    return;
  }
  FindFunction(file, address - found.dlfo_link_map->l_addr, scratch, name->function,
               sizeof(name->function));
  KeepPrintable(name->function);
  WithKnownName(fingerprint, name->offset, [&](KnownName& known) {
    known.fingerprint = fingerprint;
    known.offset = name->offset;
    memcpy(known.function, name->function, sizeof(known.function));
  });
}

namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// What Rust's compiler puts behind a name to tell it from others: "h" and 16 digits.
bool IsHash(const char* text, size_t length) {
  if (length != 17 || text[0] != 'h') return false;
  for (size_t i = 1; i < length; ++i) {
    if (!IsDigit(text[i]) && (text[i] < 'a' || text[i] > 'f')) return false;
  }
  return true;
}

}  // namespace

void PlainName(const char* symbol, char* name, size_t name_bytes) {
  if (strncmp(symbol, "_Znwm", 5) == 0 || strncmp(symbol, "_Znam", 5) == 0) {
    FormatText(name, name_bytes, "operator new%s", symbol[3] == 'a' ? "[]" : "");
    return;
  }
  const char* at = symbol;
  size_t used = 0;
  name[0] = '\0';
  const auto add = [&](const char* text, size_t length) {
    if (used >= name_bytes) return;
    used += static_cast<size_t>(FormatText(name + used, name_bytes - used, "%s%.*s",
                                           used == 0 ? "" : "::", static_cast<int>(length), text));
  };
  if (strncmp(at, "_Z", 2) == 0) {
    at += 2;
    if (*at == 'N') ++at;
    while (*at == 'K' || *at == 'V' || *at == 'R' || *at == 'O') ++at;  // of methods
    if (strncmp(at, "St", 2) == 0) {
      add("std", 3);
      at += 2;
    }
    for (;;) {
      if (*at == 'L') ++at;  // of a file of its own
      size_t length = 0;
      while (IsDigit(*at) && length < 1000) length = length * 10 + static_cast<size_t>(*at++ - '0');
      if (length == 0 || strnlen(at, length) < length) break;
      if (strncmp(at, "_GLOBAL__N_", 11) == 0) {
        add("(anonymous)", 11);
      } else if (!IsHash(at, length)) {
        add(at, length);
      }
      at += length;
    }
  }
  if (used == 0) FormatText(name, name_bytes, "%s", symbol);
}

}  // namespace taskmem
