// Names of generated code, by the file that runtimes write for perf: /tmp/perf-PID.map, a line
// "START SIZE name" for each function.
#ifndef TASKMEM_TOOLS_REMOTE_PERF_MAP_H_
#define TASKMEM_TOOLS_REMOTE_PERF_MAP_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace taskmem {

// The functions at those of the return addresses, in ascending order, that the text names. What it
// says last of an address counts; lines that are none are skipped.
std::map<uint64_t, std::string> ParsePerfMap(std::string_view text,
                                             const std::vector<uint64_t>& addresses);

// Of a live process: its file in its own /tmp. Only one that belongs to the user of the process
// and was written since it began counts, and 64 MiB of it at most. Empty where there is none.
std::map<uint64_t, std::string> NamesOfGeneratedCode(pid_t pid,
                                                     const std::vector<uint64_t>& addresses);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_PERF_MAP_H_
