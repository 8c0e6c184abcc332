// The books of processes as a table for people and as JSON for programs.
#ifndef TASKMEM_TOOLS_STATS_REPORT_H_
#define TASKMEM_TOOLS_STATS_REPORT_H_

#include <string>
#include <vector>

#include "tools/stats/stats_reader.h"

namespace taskmem {

// Which tables end with a line on the pools.
enum class PoolLines {
  kAll,
  kWhereShort,  // only where memory was refused or is overdrawn
};

// One table per process, the first processes only where there are very many.
std::string FormatTables(const std::vector<ProcessStats>& processes, PoolLines pool_lines);

// What was done to make room for the tasks, a line each; nothing for tasks that had all they
// asked for. The first tasks only where there are very many.
std::string FormatReclaim(const std::vector<TaskStats>& tasks);

// One line per process.
std::string FormatProcessList(const std::vector<ProcessStats>& processes);

// {"process": {...}, "pools": {...}, "tasks": [...], "children": [...]}, indented,
// with a newline at the end. `children` have no children of their own.
std::string FormatJson(const ProcessStats& process, const std::vector<ProcessStats>& children);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_REPORT_H_
