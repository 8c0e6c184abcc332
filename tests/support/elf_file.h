// What a 64-bit shared library shows and needs, read from its ELF file.
#ifndef TASKMEM_TESTS_SUPPORT_ELF_FILE_H_
#define TASKMEM_TESTS_SUPPORT_ELF_FILE_H_

#include <cstdint>
#include <set>
#include <string>

namespace taskmem::test {

struct ElfFile {
  std::set<std::string> exported;  // names defined in the dynamic symbol table
  std::set<std::string> needed;    // DT_NEEDED
  uint64_t flags = 0;              // DT_FLAGS
  uint64_t flags_1 = 0;            // DT_FLAGS_1
  bool has_text_relocations = false;
  uint64_t thread_local_bytes = 0;  // of the PT_TLS segment
};

// Throws where `path` is no such file.
ElfFile ReadElf(const std::string& path);

}  // namespace taskmem::test

#endif  // TASKMEM_TESTS_SUPPORT_ELF_FILE_H_
