// The line with which `run` ends where a task was refused memory: who, by which limit, and what
// to look at next.
#ifndef TASKMEM_TOOLS_CLI_REFUSAL_HINT_H_
#define TASKMEM_TOOLS_CLI_REFUSAL_HINT_H_

#include <string>
#include <vector>

#include "tools/sites/named_sites.h"
#include "tools/stats/stats_reader.h"

namespace taskmem {

// What `run` knows of who held memory.
struct KnownSites {
  bool was_asked_for = false;  // --audit
  pid_t pid = 0;               // of the process that was looked at; 0: none was
  std::vector<NamedSite> sites;
};

// Of the first refusal among all processes; empty: there was none. The program is the first of
// `processes`; others are named with their pid.
std::string RefusalHint(const std::vector<ProcessStats>& processes, const KnownSites& known);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_CLI_REFUSAL_HINT_H_
