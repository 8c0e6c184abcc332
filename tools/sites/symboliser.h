// Addresses in a process as function, file and line, by the symbols and debug information of
// its modules (libdwfl). The process itself is not needed any more. A module whose file is not
// found, or is another's by now (module_file.h), leaves its addresses without names.
#ifndef TASKMEM_TOOLS_SITES_SYMBOLISER_H_
#define TASKMEM_TOOLS_SITES_SYMBOLISER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "tools/remote/modules.h"

namespace taskmem {

struct Symbol {
  std::string function;  // demangled; empty: not known
  std::string module;    // file name; empty: the address is in no module
  std::string path;      // of the module
  std::string file;      // of the source; empty: no debug information
  int line = 0;
  uint64_t offset = 0;       // of the address from where the module begins; 0: not known
  bool is_unloaded = false;  // the module is not there any more
  bool is_inlined = false;   // into the function that follows

  // "function (module)"; without a function "module+0x11d9", or as much as is known. The module
  // is "generated code" where a function is known but it is in no file.
  std::string Text() const;
};

// "foo::bar(int)" for "_ZN3foo3barEi"; other names as they are.
std::string Demangle(const std::string& name);

// More that were inlined at one address are left out: the outermost of them.
inline constexpr size_t kMostInlined = 64;

class Symboliser {
 public:
  // As FindModules has them.
  explicit Symboliser(std::vector<Module> modules);
  ~Symboliser();
  Symboliser(const Symboliser&) = delete;
  Symboliser& operator=(const Symboliser&) = delete;

  // The instruction before a return address, which is the call. At least one: functions that were
  // inlined there, the innermost first, and then the one that has the code.
  const std::vector<Symbol>& OfReturnAddress(uint64_t address) { return Of(address - 1); }
  const std::vector<Symbol>& Of(uint64_t address);

 private:
  struct Session;

  const std::vector<Module> modules_;
  std::unique_ptr<Session> session_;  // nullptr: nothing can be known
  std::unordered_map<uint64_t, std::vector<Symbol>> known_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_SITES_SYMBOLISER_H_
