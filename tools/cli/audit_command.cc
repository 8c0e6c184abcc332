#include "tools/cli/audit_command.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "shim/options/options.h"
#include "tools/audit/audit.h"
#include "tools/audit_report/audit_report.h"
#include "tools/base/json_document.h"
#include "tools/base/message.h"
#include "tools/base/output_file.h"
#include "tools/cli/environment_options.h"
#include "tools/sites/named_sites.h"
#include "tools/stats/process_books.h"
#include "tools/stats/stats_dirs.h"

namespace taskmem {

int AuditCommand(const AuditRequest& request) {
  CheckOutputFileOrFail(request.output_file);
  CheckOutputFileOrFail(request.collapsed_file);
  CheckOutputFileOrFail(request.pprof_file);
  const Options options = OptionsOfReaderOrFail();
  const auto books = ReadProcessBooks(ReadableStatsDirs(options), request.pid);
  if (!books) Fatal(EXIT_FAILURE, "no process {} under taskmem", request.pid);
  std::string error;
  const auto audit = TakeAudit(*books, &error);
  if (!audit) Fatal(EXIT_FAILURE, "{}", error);
  std::vector<NamedSite> sites = NameSites(*audit, SIZE_MAX);
  if (!request.collapsed_file.empty())
    WriteOutputFileOrFail(request.collapsed_file, FormatCollapsed(sites));
  if (!request.pprof_file.empty())
    WriteOutputFileOrFail(request.pprof_file, FormatPprof(*audit, sites));
  if (request.by_module) sites = SitesByModule(sites);
  std::string text;
  if (request.as_json) {
    auto json = JsonDocument("audit");
    json.update(AuditJson(*audit, sites));
    text = JsonText(json);
  } else {
    if (sites.size() > request.sites) sites.resize(request.sites);
    text = FormatAudit(*audit, sites);
  }
  if (request.output_file.empty()) {
    PrintOrFail(text);
  } else {
    WriteOutputFileOrFail(request.output_file, text);
  }
  return EXIT_SUCCESS;
}

}  // namespace taskmem
