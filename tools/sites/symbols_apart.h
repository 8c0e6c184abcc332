// Names of addresses, found in a process of its own. What is read for that are the files of
// another user's program, which may be damaged, replaced or cut while they are read, and the
// parsers are a library's: should they crash, hang or take too much, names are missing and no more.
#ifndef TASKMEM_TOOLS_SITES_SYMBOLS_APART_H_
#define TASKMEM_TOOLS_SITES_SYMBOLS_APART_H_

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "tools/remote/modules.h"
#include "tools/sites/symboliser.h"

namespace taskmem {

// By return address, as Symboliser has them.
using SymbolTable = std::unordered_map<uint64_t, std::vector<Symbol>>;
using NameAddresses = SymbolTable (*)(const std::vector<Module>& modules,
                                      const std::vector<uint64_t>& addresses);

// An entry for each of the return addresses, at least with its module. Takes at most 20 s.
SymbolTable NamesOfReturnAddresses(const std::vector<Module>& modules,
                                   const std::vector<uint64_t>& addresses);

// The same without functions and lines, and without another process.
SymbolTable ModulesOfReturnAddresses(const std::vector<Module>& modules,
                                     const std::vector<uint64_t>& addresses);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_SITES_SYMBOLS_APART_H_
