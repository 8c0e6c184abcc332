#include "tools/sites/symboliser.h"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "tools/remote/module_file.h"

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
  const char* const gone = is_unloaded ? ", unloaded" : "";
  if (module.empty()) {
    return function.empty() ? "[generated code]" : fmt::format("{} (generated code)", function);
  }
  if (function.empty()) {
    return offset != 0 ? fmt::format("{}+{:#x}{}", module, offset, gone)
                       : fmt::format("[{}{}]", module, gone);
  }
  return fmt::format("{} ({}{})", function, module, gone);
}

std::string Demangle(const std::string& name) {
  int status = 0;
  char* demangled = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  if (demangled == nullptr) return name;
  const std::string result = demangled;
  free(demangled);
  return result;
}

namespace {

std::string NameOf(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  for (const unsigned kind : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
    if (const char* name = dwarf_formstring(dwarf_attr_integrate(die, kind, &attribute))) {
      return Demangle(name);
    }
  }
  const char* name = dwarf_diename(die);
  return name != nullptr ? name : "";
}

Dwarf_Word NumberOf(Dwarf_Die* die, unsigned kind) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (dwarf_formudata(dwarf_attr(die, kind, &attribute), &value) != 0) return 0;
  return value;
}

struct FreeScopes {
  void operator()(Dwarf_Die* scopes) const { free(scopes); }
};
using Scopes = std::unique_ptr<Dwarf_Die[], FreeScopes>;

// The functions that were inlined at `address` into that of `symbol`, whose file and line become
// those of the outermost call.
void AddInlined(Dwfl_Module* module, uint64_t address, Symbol* symbol,
                std::vector<Symbol>* inlined) {
  Dwarf_Addr bias = 0;
  Dwarf_Die* const unit = dwfl_module_addrdie(module, address, &bias);
  if (unit == nullptr) return;
  Dwarf_Die* found = nullptr;
  int count = dwarf_getscopes(unit, address - bias, &found);
  const Scopes innermost(found);
  if (count <= 0) return;
  // From there outwards as the code lies, not as the text does.
  found = nullptr;
  count = dwarf_getscopes_die(&innermost[0], &found);
  const Scopes scopes(found);
  Dwarf_Files* files = nullptr;
  size_t file_count = 0;
  dwarf_getsrcfiles(unit, &files, &file_count);
  for (int i = 0; i < count && inlined->size() < kMostInlined; ++i) {
    Dwarf_Die* const scope = &scopes[static_cast<size_t>(i)];
    const int tag = dwarf_tag(scope);
    if (tag == DW_TAG_subprogram) return;
    if (tag != DW_TAG_inlined_subroutine) continue;
    Symbol inner = *symbol;
    inner.function = NameOf(scope);
    inner.is_inlined = true;
    if (inner.function.empty()) continue;
    inlined->push_back(std::move(inner));
    const char* const file =
        files != nullptr ? dwarf_filesrc(files, NumberOf(scope, DW_AT_call_file), nullptr, nullptr)
                         : nullptr;
    symbol->file = file != nullptr ? file : "";
    symbol->line = static_cast<int>(NumberOf(scope, DW_AT_call_line));
  }
}

}  // namespace

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
    const int fd = OpenModuleFile(module);
    if (fd >= 0 && dwfl_report_elf(session_->dwfl, module.Name().c_str(), module.path.c_str(), fd,
                                   module.start, false) == nullptr) {
      close(fd);
    }
  }
  dwfl_report_end(session_->dwfl, nullptr, nullptr);
}

Symboliser::~Symboliser() = default;

const std::vector<Symbol>& Symboliser::Of(uint64_t address) {
  const auto [found, is_new] = known_.try_emplace(address);
  std::vector<Symbol>& symbols = found->second;
  if (!is_new) return symbols;
  Symbol symbol;
  const Module* const loaded = FindModule(modules_, address);
  if (loaded == nullptr) {
    symbols.push_back(symbol);
    return symbols;
  }
  symbol.path = loaded->path;
  symbol.module = loaded->Name();
  symbol.is_unloaded = loaded->is_unloaded;
  Dwfl_Module* module = session_ != nullptr ? dwfl_addrmodule(session_->dwfl, address) : nullptr;
  if (module != nullptr) {
    if (const char* name = dwfl_module_addrname(module, address)) symbol.function = Demangle(name);
    if (Dwfl_Line* line = dwfl_module_getsrc(module, address)) {
      const char* file = dwfl_lineinfo(line, nullptr, &symbol.line, nullptr, nullptr, nullptr);
      if (file != nullptr) symbol.file = file;
    }
    AddInlined(module, address, &symbol, &symbols);
  }
  symbols.push_back(std::move(symbol));
  return symbols;
}

}  // namespace taskmem
