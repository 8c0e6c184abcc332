#include "shim/adopt/at_start.h"

#include <sys/auxv.h>

#include <cstdint>
#include <cstring>

#include "shim/adopt/loader_watch.h"

namespace taskmem::adopt {
namespace {

// What comes from nobody's engine, to spare each program a look at these files.
constexpr const char* kKin[] = {"libc.so",  "libm.so",    "libstdc++",  "libgcc_s",
                                "ld-linux", "libtaskmem", "libpthread", "libdl.so",
                                "librt.so", "linux-vdso", "libtinfo"};

bool IsKin(const char* path) {
  const char* const slash = strrchr(path, '/');
  const char* const base = slash != nullptr ? slash + 1 : path;
  for (const char* kin : kKin) {
    if (strncmp(base, kin, strlen(kin)) == 0) return true;
  }
  return false;
}

// The environment as the kernel has put it on the stack, below the program's name. libc's and the
// loader's variables that lead there are not set yet, where the program has copies of them.
bool IsForbidden() {
  constexpr char kOff[] = "\0TASKMEM_ADOPT=off";
  const auto* const begin = reinterpret_cast<const char*>(getauxval(AT_RANDOM));
  const auto* const end = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  if (begin == nullptr || end <= begin) return false;
  return memmem(begin, static_cast<size_t>(end - begin), kOff, sizeof(kOff)) != nullptr;
}

// How much of the address space a file of these segments takes.
uint64_t ImageBytes(const Elf64_Phdr* segments, size_t count) {
  uint64_t start = UINT64_MAX;
  uint64_t end = 0;
  for (size_t i = 0; i < count; ++i) {
    if (segments[i].p_type != PT_LOAD) continue;
    if (segments[i].p_vaddr < start) start = segments[i].p_vaddr;
    if (segments[i].p_vaddr + segments[i].p_memsz > end) {
      end = segments[i].p_vaddr + segments[i].p_memsz;
    }
  }
  return end > start ? end - start : 0;
}

// Less than an allocator and its engine have: the file need not be looked at.
bool IsSmall(const link_map& library, bool is_program) {
  constexpr uint64_t kLeastBytes = 256 * 1024;
  if (is_program) {
    return ImageBytes(reinterpret_cast<const Elf64_Phdr*>(getauxval(AT_PHDR)),
                      getauxval(AT_PHNUM)) < kLeastBytes;
  }
  const auto* const header = reinterpret_cast<const Elf64_Ehdr*>(library.l_addr);
  if (header == nullptr || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return false;
  return ImageBytes(reinterpret_cast<const Elf64_Phdr*>(library.l_addr + header->e_phoff),
                    header->e_phnum) < kLeastBytes;
}

void LookAtAll() {
  // Of the program's start, not of a library that is opened later.
  if (_r_debug.r_state != r_debug::RT_ADD || getauxval(AT_SECURE) != 0 || IsForbidden()) return;
  bool is_program = true;
  ForEachLoaded([&](const link_map& library) {
    const char* const path = is_program ? "/proc/self/exe" : library.l_name;
    if (path != nullptr && strchr(path, '/') != nullptr && !IsKin(path) &&
        !IsSmall(library, is_program)) {
      LookAtStart(library, path);
    }
    is_program = false;
  });
}

}  // namespace
}  // namespace taskmem::adopt

extern "C" {

static void DoNothing() {}

// Called by the loader.
static void (*ResolveAtStart())() {
  taskmem::adopt::LookAtAll();
  return DoNothing;
}

__attribute__((visibility("hidden"), ifunc("ResolveAtStart"))) void TaskmemAtStart();
}

namespace taskmem::adopt {

void EnsureLookAtStart() { TaskmemAtStart(); }

}  // namespace taskmem::adopt
