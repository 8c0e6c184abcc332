// What an ELF file says of itself that matters to a preloaded allocator. Nothing in it is trusted:
// libelf checks what it reads.
#ifndef TASKMEM_TOOLS_DOCTOR_OBJECT_LOOK_H_
#define TASKMEM_TOOLS_DOCTOR_OBJECT_LOOK_H_

#include <string>
#include <vector>

namespace taskmem {

// An allocator in a file, by the names of its functions.
struct FoundAllocator {
  std::string name;    // "jemalloc"
  std::string prefix;  // of its functions: "duckdb_je_"
};

struct ObjectLook {
  std::string path;
  bool is_elf = false;          // of x86-64
  std::string loader;           // its interpreter; empty: none
  bool exports_malloc = false;  // under that very name
  bool is_go = false;
  bool is_rust = false;
  bool is_python = false;
  bool is_v8 = false;
  bool is_php = false;
  std::string sanitizer;   // "AddressSanitizer"; empty: none
  bool has_names = false;  // of functions that it does not export
  std::vector<FoundAllocator> allocators;
};

// Of a file that cannot be read, or is none: is_elf is false.
ObjectLook LookAtObject(const std::string& path);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_DOCTOR_OBJECT_LOOK_H_
