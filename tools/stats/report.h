// The books of processes as a table for people and as JSON for programs.
#ifndef TASKMEM_TOOLS_STATS_REPORT_H_
#define TASKMEM_TOOLS_STATS_REPORT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tools/stats/stats_reader.h"

namespace taskmem {

// Which tables end with a line on the pools.
enum class PoolLines {
  kAll,
  kWhereShort,  // only where memory was refused or is overdrawn
};

// A table of the first process, and of the others that held much; one line sums up the rest.
// No line is wider than `columns`.
std::string FormatTables(const std::vector<ProcessStats>& processes, PoolLines pool_lines,
                         size_t columns);

// What was done to make room for the tasks, a line each; nothing for tasks that had all they
// asked for. The first tasks only where there are very many.
std::string FormatReclaim(const std::vector<TaskStats>& tasks, size_t columns);

// One line per process.
std::string FormatProcessList(const std::vector<ProcessStats>& processes, size_t columns);
// The same as a document of JSON.
std::string FormatProcessListJson(const std::vector<ProcessStats>& processes);

// Tasks that have an id.
size_t CountTasks(const ProcessStats& process);

// {"process": {...}, "pools": {...}, "tasks": [...], "children": [...]} as a document of JSON.
// `children` have no children of their own.
std::string FormatJson(const ProcessStats& process, const std::vector<ProcessStats>& children);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_REPORT_H_
