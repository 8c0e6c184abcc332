#include "tools/sites/symboliser.h"

#include <cxxabi.h>
#include <elfutils/libdwfl.h>
#include <fmt/format.h>

#include <cstdlib>
#include <utility>

namespace taskmem {

struct Symboliser::Session {
  ~Session() {
    if (dwfl != nullptr) dwfl_end(dwfl);
  }
  Dwfl_Callbacks callbacks = {};
  char* debug_info_path = nullptr;  // the usual places
  Dwfl* dwfl = nullptr;
};

std::string Symbol::Text() const {
  if (module.empty()) return "[generated code]";
  if (function.empty()) {
    return offset != 0 ? fmt::format("{}+{:#x}", module, offset) : fmt::format("[{}]", module);
  }
  return fmt::format("{} ({})", function, module);
}

std::string Demangle(const std::string& name) {
  int status = 0;
  char* demangled = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  if (demangled == nullptr) return name;
  const std::string result = demangled;
  free(demangled);
  return result;
}

Symboliser::Symboliser(std::vector<Module> modules)
    : modules_(std::move(modules)), session_(std::make_unique<Session>()) {
  // What is on this machine has to do: nothing is fetched from servers.
  unsetenv("DEBUGINFOD_URLS");
  session_->callbacks.find_elf = dwfl_build_id_find_elf;
  session_->callbacks.find_debuginfo = dwfl_standard_find_debuginfo;
  session_->callbacks.debuginfo_path = &session_->debug_info_path;
  session_->dwfl = dwfl_begin(&session_->callbacks);
  if (session_->dwfl == nullptr) {
    session_ = nullptr;
    return;
  }
  for (const Module& module : modules_) {
    // A file that is gone or another's by now leaves its addresses without names.
    dwfl_report_elf(session_->dwfl, module.Name().c_str(), module.path.c_str(), -1, module.start,
                    false);
  }
  dwfl_report_end(session_->dwfl, nullptr, nullptr);
}

Symboliser::~Symboliser() = default;

const Symbol& Symboliser::Of(uint64_t address) {
  const auto [found, is_new] = known_.try_emplace(address);
  Symbol& symbol = found->second;
  const Module* const loaded = FindModule(modules_, address);
  if (!is_new || loaded == nullptr) return symbol;
  symbol.path = loaded->path;
  symbol.module = loaded->Name();
  Dwfl_Module* module = session_ != nullptr ? dwfl_addrmodule(session_->dwfl, address) : nullptr;
  if (module == nullptr) return symbol;
  if (const char* name = dwfl_module_addrname(module, address)) symbol.function = Demangle(name);
  if (Dwfl_Line* line = dwfl_module_getsrc(module, address)) {
    const char* file = dwfl_lineinfo(line, nullptr, &symbol.line, nullptr, nullptr, nullptr);
    if (file != nullptr) symbol.file = file;
  }
  return symbol;
}

}  // namespace taskmem
