#include "tests/support/elf_file.h"

#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <vector>

namespace taskmem::test {
namespace {

class Reader {
 public:
  explicit Reader(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    if (bytes_.size() < sizeof(Elf64_Ehdr) || memcmp(bytes_.data(), ELFMAG, SELFMAG) != 0) {
      throw std::runtime_error("not an ELF file: " + path);
    }
  }

  template <typename Entry>
  Entry At(uint64_t offset) const {
    Entry entry;
    if (offset > bytes_.size() || sizeof(Entry) > bytes_.size() - offset) {
      throw std::runtime_error("ELF file is cut short");
    }
    memcpy(&entry, bytes_.data() + offset, sizeof(Entry));
    return entry;
  }

  std::string TextAt(uint64_t offset) const { return &bytes_.at(offset); }

  Elf64_Shdr Section(uint64_t index) const {
    const auto header = At<Elf64_Ehdr>(0);
    return At<Elf64_Shdr>(header.e_shoff + index * header.e_shentsize);
  }

 private:
  std::vector<char> bytes_;
};

void ReadSymbols(const Reader& reader, const Elf64_Shdr& section, ElfFile* file) {
  const uint64_t names = reader.Section(section.sh_link).sh_offset;
  for (uint64_t at = 0; at < section.sh_size; at += sizeof(Elf64_Sym)) {
    const auto symbol = reader.At<Elf64_Sym>(section.sh_offset + at);
    // Relocations of thread-local variables name local symbols; nobody can bind to them.
    if (ELF64_ST_BIND(symbol.st_info) == STB_LOCAL) continue;
    const bool is_absolute = symbol.st_shndx == SHN_ABS;  // the name of a version
    if (symbol.st_shndx == SHN_UNDEF || is_absolute) continue;
    file->exported.insert(reader.TextAt(names + symbol.st_name));
  }
}

void ReadDynamic(const Reader& reader, const Elf64_Shdr& section, ElfFile* file) {
  const uint64_t names = reader.Section(section.sh_link).sh_offset;
  for (uint64_t at = 0; at < section.sh_size; at += sizeof(Elf64_Dyn)) {
    const auto entry = reader.At<Elf64_Dyn>(section.sh_offset + at);
    if (entry.d_tag == DT_NEEDED) file->needed.insert(reader.TextAt(names + entry.d_un.d_val));
    if (entry.d_tag == DT_FLAGS) file->flags = entry.d_un.d_val;
    if (entry.d_tag == DT_FLAGS_1) file->flags_1 = entry.d_un.d_val;
    if (entry.d_tag == DT_TEXTREL) file->has_text_relocations = true;
  }
}

}  // namespace

ElfFile ReadElf(const std::string& path) {
  const Reader reader(path);
  const auto header = reader.At<Elf64_Ehdr>(0);
  ElfFile file;
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr section = reader.Section(i);
    if (section.sh_type == SHT_DYNSYM) ReadSymbols(reader, section, &file);
    if (section.sh_type == SHT_DYNAMIC) ReadDynamic(reader, section, &file);
  }
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = reader.At<Elf64_Phdr>(header.e_phoff + i * header.e_phentsize);
    if (segment.p_type == PT_TLS) file.thread_local_bytes = segment.p_memsz;
  }
  return file;
}

}  // namespace taskmem::test
