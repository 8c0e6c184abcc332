#include "tools/remote/modules.h"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "accounting/audit/unloaded_code.h"
#include "accounting/base/round_up.h"

namespace taskmem {
namespace {

uint64_t PageEnd(uint64_t address) { return RoundUp(address, kPageBytes); }

// How much address space the module whose ELF header is at `start` takes. 0: it is none.
uint64_t ModuleBytes(const RemoteMemory& memory, uint64_t start) {
  const auto header = memory.Read<Elf64_Ehdr>(start);
  if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return 0;
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phentsize != sizeof(Elf64_Phdr)) {
    return 0;
  }
  constexpr uint16_t kMostParts = 1024;
  if (header->e_phnum > kMostParts || header->e_phoff > RemoteMemory::kAddressEnd) return 0;
  uint64_t low = UINT64_MAX;
  uint64_t high = 0;
  for (const Elf64_Phdr& part :
       memory.ReadArray<Elf64_Phdr>(start + header->e_phoff, header->e_phnum)) {
    if (part.p_type != PT_LOAD) continue;
    if (part.p_vaddr > RemoteMemory::kAddressEnd || part.p_memsz > RemoteMemory::kAddressEnd) {
      return 0;
    }
    low = std::min(low, part.p_vaddr / kPageBytes * kPageBytes);
    high = std::max(high, part.p_vaddr + part.p_memsz);
  }
  return high > low ? PageEnd(high - low) : 0;
}

}  // namespace

Descriptor::~Descriptor() { close(fd_); }

bool IsPreloadLibrary(std::string_view file_name) {
  constexpr std::string_view kName = "libtaskmem.so";
  return file_name.starts_with(kName) &&
         file_name.find_first_not_of(".0123456789", kName.size()) == file_name.npos;
}

std::vector<Module> FindModules(const std::vector<MemoryRange>& ranges,
                                const RemoteMemory& memory) {
  std::set<uint64_t> executable;
  for (const MemoryRange& range : ranges) {
    if (range.executable && range.inode != 0) executable.insert(range.inode);
  }
  std::vector<Module> modules;
  for (const MemoryRange& range : ranges) {
    if (range.inode == 0 || range.offset != 0 || !executable.contains(range.inode)) continue;
    // The first pages of the file again, as data: inside what is known already.
    if (!modules.empty() && range.start < modules.back().end) continue;
    const uint64_t bytes = ModuleBytes(memory, range.start);
    if (bytes != 0 && range.start < RemoteMemory::kAddressEnd) {
      Module& module = modules.emplace_back();
      module.start = range.start;
      module.end = std::min(range.start + bytes, RemoteMemory::kAddressEnd);
      module.path = range.name;
      char beginning[kFingerprintBytes];
      if (memory.Read(range.start, beginning, sizeof(beginning))) {
        module.fingerprint = Fingerprint(beginning);
      }
    }
  }
  return modules;
}

const Module* FindModule(const std::vector<Module>& modules, uint64_t address) {
  const auto after =
      std::upper_bound(modules.begin(), modules.end(), address,
                       [](uint64_t at, const Module& module) { return at < module.start; });
  if (after == modules.begin()) return nullptr;
  const Module& module = *std::prev(after);
  return module.Contains(address) ? &module : nullptr;
}

}  // namespace taskmem
