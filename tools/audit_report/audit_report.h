// An audit as a table for people, as JSON, and as profiles for other tools.
#ifndef TASKMEM_TOOLS_AUDIT_REPORT_AUDIT_REPORT_H_
#define TASKMEM_TOOLS_AUDIT_REPORT_AUDIT_REPORT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/sites/named_sites.h"

namespace taskmem {

// The ledger, the tasks, what is unknown and the sites.
std::string FormatAudit(const Audit& audit, const std::vector<NamedSite>& sites);

// {"pid", "program", "resident_bytes", "classes": {name: bytes}, "kinds", "unknown_bytes",
// "unknown": [...], "tasks": [...], "allocators": [...], "sites_interval_bytes", "sites": [...]}
nlohmann::ordered_json AuditJson(const Audit& audit, const std::vector<NamedSite>& sites);

// One line a site: "task;outermost;...;innermost bytes", what flame graphs are drawn from.
std::string FormatCollapsed(const std::vector<NamedSite>& sites);

// A gzipped profile.proto of Google's pprof, with the sample type "inuse_space".
std::string FormatPprof(const Audit& audit, const std::vector<NamedSite>& sites);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_AUDIT_REPORT_AUDIT_REPORT_H_
