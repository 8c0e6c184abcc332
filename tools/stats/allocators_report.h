// The allocators that a process has beside taskmem's, as text and as JSON.
#ifndef TASKMEM_TOOLS_STATS_ALLOCATORS_REPORT_H_
#define TASKMEM_TOOLS_STATS_ALLOCATORS_REPORT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/stats/stats_reader.h"

namespace taskmem {

// "jemalloc of _duckdb.so (duckdb_je_*): adopted, 12.0 MiB live; 26 functions jump to taskmem's",
// "mimalloc of _internal.so keeps its own memory: stripped: its functions have no names".
std::string AllocatorText(const AllocatorStats& allocator);

// {"allocator", "library", "functions", "state", "how", "live_bytes"} each.
nlohmann::ordered_json AllocatorsJson(const std::vector<AllocatorStats>& allocators);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_ALLOCATORS_REPORT_H_
