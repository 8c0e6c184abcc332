#include "tools/audit/jvm_parts.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "accounting/base/round_up.h"

namespace taskmem {
namespace {

constexpr size_t kMostTextBytes = 1 << 20;

// Addresses of the symbols that a module exports and whose names begin so, by what the loader
// has of it.
std::map<std::string, uint64_t> ExportedSymbols(const Module& module, const RemoteMemory& memory,
                                                std::string_view prefix) {
  std::map<std::string, uint64_t> symbols;
  const auto header = memory.Read<Elf64_Ehdr>(module.start);
  if (!header || header->e_phentsize != sizeof(Elf64_Phdr)) return symbols;
  constexpr size_t kMostNameBytes = 64;
  uint64_t dynamic = 0;
  size_t dynamic_count = 0;
  // What it is moved by: it begins with the first of its parts, wherever that was linked for.
  std::optional<uint64_t> moved_by;
  for (const Elf64_Phdr& part :
       memory.ReadArray<Elf64_Phdr>(module.start + header->e_phoff, header->e_phnum)) {
    if (part.p_type == PT_LOAD && !moved_by) {
      moved_by = module.start - part.p_vaddr / kPageBytes * kPageBytes;
    }
    if (part.p_type != PT_DYNAMIC) continue;
    dynamic = part.p_vaddr;
    dynamic_count = part.p_memsz / sizeof(Elf64_Dyn);
  }
  if (!moved_by) return symbols;
  dynamic += *moved_by;
  uint64_t table = 0;
  uint64_t texts = 0;
  uint64_t text_bytes = 0;
  for (const Elf64_Dyn& entry : memory.ReadArray<Elf64_Dyn>(dynamic, dynamic_count)) {
    // The loader has made addresses of these.
    if (entry.d_tag == DT_SYMTAB) table = entry.d_un.d_ptr;
    if (entry.d_tag == DT_STRTAB) texts = entry.d_un.d_ptr;
    if (entry.d_tag == DT_STRSZ) text_bytes = entry.d_un.d_val;
  }
  // Linkers put the names right behind the table.
  if (table == 0 || texts <= table || text_bytes == 0 || text_bytes > kMostTextBytes) {
    return symbols;
  }
  const size_t count = (texts - table) / sizeof(Elf64_Sym);
  if (!module.Contains(table) || !module.Contains(texts)) return symbols;
  auto names = memory.ReadArray<char>(texts, text_bytes);
  if (names.empty()) return symbols;
  names.back() = '\0';
  for (const Elf64_Sym& symbol : memory.ReadArray<Elf64_Sym>(table, count)) {
    if (symbol.st_shndx == SHN_UNDEF || symbol.st_name >= names.size()) continue;
    const char* const name = &names[symbol.st_name];
    const size_t most = std::min(kMostNameBytes, names.size() - symbol.st_name);
    const std::string_view text(name, strnlen(name, most));
    if (text.starts_with(prefix)) symbols[std::string(text)] = *moved_by + symbol.st_value;
  }
  return symbols;
}

// What a JVM says of its structures.
class VmStructs {
 public:
  VmStructs(const Module& module, const RemoteMemory& memory) : memory_(memory) {
    const auto symbols = ExportedSymbols(module, memory, "gHotSpotVMStruct");
    const auto read = [&](const char* name) -> uint64_t {
      const auto symbol = symbols.find(name);
      return symbol != symbols.end() ? memory.Read<uint64_t>(symbol->second).value_or(0) : 0;
    };
    const uint64_t array = read("gHotSpotVMStructs");
    const uint64_t stride = read("gHotSpotVMStructEntryArrayStride");
    const uint64_t type_at = read("gHotSpotVMStructEntryTypeNameOffset");
    const uint64_t field_at = read("gHotSpotVMStructEntryFieldNameOffset");
    const uint64_t offset_at = read("gHotSpotVMStructEntryOffsetOffset");
    const uint64_t address_at = read("gHotSpotVMStructEntryAddressOffset");
    constexpr uint64_t kMostStride = 1024;
    constexpr int kMostEntries = 20'000;
    if (array == 0 || stride < 2 * sizeof(uint64_t) || stride > kMostStride ||
        std::max({type_at, field_at, offset_at, address_at}) > stride - sizeof(uint64_t)) {
      return;
    }
    for (int i = 0; i < kMostEntries; ++i) {
      const auto entry = memory.ReadArray<unsigned char>(array + i * stride, stride);
      if (entry.empty()) return;
      const auto word = [&](uint64_t at) {
        uint64_t value = 0;
        memcpy(&value, &entry[at], sizeof(value));
        return value;
      };
      if (word(type_at) == 0) return;
      fields_[{Text(word(type_at)), Text(word(field_at))}] = {word(offset_at), word(address_at)};
    }
  }

  // The value of a field that is there once.
  std::optional<uint64_t> Static(const char* type, const char* field) const {
    const auto found = fields_.find({type, field});
    if (found == fields_.end() || found->second.address == 0) return std::nullopt;
    return memory_.Read<uint64_t>(found->second.address);
  }
  // Where a field lies in each object.
  std::optional<uint64_t> Offset(const char* type, const char* field) const {
    const auto found = fields_.find({type, field});
    if (found == fields_.end() || found->second.address != 0) return std::nullopt;
    return found->second.offset;
  }

 private:
  struct Field {
    uint64_t offset;
    uint64_t address;
  };

  std::string Text(uint64_t address) const {
    char text[64] = {};
    // Short of it at the end of what is mapped.
    for (size_t bytes = sizeof(text) - 1; bytes >= 16; bytes /= 2) {
      if (memory_.Read(address, text, bytes)) break;
    }
    return text;
  }

  const RemoteMemory& memory_;
  std::map<std::pair<std::string, std::string>, Field> fields_;
};

void AddPart(uint64_t start, uint64_t end, const char* label, std::vector<JvmPart>* parts) {
  if (start >= RemoteMemory::kAddressEnd || end > RemoteMemory::kAddressEnd) return;
  const uint64_t first = start / kPageBytes * kPageBytes;
  const uint64_t last = RoundUp(end, kPageBytes);
  if (start != 0 && first < last) parts->push_back({first, last, label});
}

void AddHeap(const VmStructs& vm, const RemoteMemory& memory, std::vector<JvmPart>* parts) {
  const auto heap = vm.Static("Universe", "_collectedHeap");
  const auto reserved = vm.Offset("CollectedHeap", "_reserved");
  const auto start_at = vm.Offset("MemRegion", "_start");
  const auto words_at = vm.Offset("MemRegion", "_word_size");
  if (!heap || *heap == 0 || !reserved || !start_at || !words_at) return;
  const uint64_t start = memory.Read<uint64_t>(*heap + *reserved + *start_at).value_or(0);
  const uint64_t words = memory.Read<uint64_t>(*heap + *reserved + *words_at).value_or(0);
  AddPart(start, start + words * sizeof(uint64_t), "JVM heap", parts);
}

}  // namespace

std::vector<JvmPart> FindJvmParts(const std::vector<Module>& modules, const RemoteMemory& memory) {
  std::vector<JvmPart> parts;
  const auto module = std::find_if(modules.begin(), modules.end(), [](const Module& candidate) {
    return candidate.Name() == "libjvm.so";
  });
  if (module == modules.end()) return parts;
  const VmStructs vm(*module, memory);
  AddHeap(vm, memory, &parts);
  AddPart(vm.Static("CodeCache", "_low_bound").value_or(0),
          vm.Static("CodeCache", "_high_bound").value_or(0), "JVM code cache", &parts);
  // What the JVM knows of classes: as far as compressed class pointers reach, 4 GiB.
  const uint64_t classes = vm.Static("CompressedKlassPointers", "_narrow_klass._base").value_or(0);
  if (classes != 0) AddPart(classes, classes + (uint64_t{4} << 30), "JVM metaspace", &parts);
  return parts;
}

}  // namespace taskmem
