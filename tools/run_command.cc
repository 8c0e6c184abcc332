#include "tools/run_command.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "accounting/exit_audit.h"
#include "shim/options.h"
#include "tools/audit_command.h"
#include "tools/audit_report.h"
#include "tools/audit_watcher.h"
#include "tools/child_process.h"
#include "tools/interposable.h"
#include "tools/message.h"
#include "tools/named_sites.h"
#include "tools/output_file.h"
#include "tools/report.h"
#include "tools/stats_reader.h"

namespace taskmem {
namespace {

constexpr int kExitNotExecutable = 126;
constexpr int kExitNotFound = 127;

// The flags, or else the inherited variables; gives both to the environment.
Options ParseOptions(const std::map<std::string, std::string>& flags) {
  for (size_t i = 0; i < kOptionCount; ++i) {
    const OptionInfo& option = kOptions[i];
    const auto flag = flags.find(option.name);
    if (flag == flags.end()) continue;
    Options ignored;
    if (!option.parse(flag->second.c_str(), &ignored)) {
      Fatal(kExitUsage, "bad value '{}' for --{}: expected {}", flag->second, option.name,
            option.expected);
    }
    std::string value = flag->second;
    // The program may be in another directory by the time it starts others.
    if (std::error_code error; std::string_view(option.name) == "plugin") {
      const auto path = std::filesystem::canonical(value, error);
      if (!error) value = path.string();
    }
    setenv(option.variable, value.c_str(), 1);
  }
  Options options;
  char error[512];
  if (!ParseOptionsFromEnvironment(&options, error, sizeof(error))) {
    Fatal(kExitUsage, "{}", error);
  }
  return options;
}

std::string PrepareStatsDir(const Options& options) {
  const std::string dir = StatsDir(options);
  if ((mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) ||
      access(dir.c_str(), W_OK | X_OK) != 0) {
    Fatal(kExitUsage, "cannot use {} for --stats-dir: {}", dir, strerror(errno));
  }
  return dir;
}

// The library stands beside the command.
std::string FindLibrary() {
  std::error_code error;
  const auto command = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string library = command.parent_path() / "libtaskmem.so";
  if (access(library.c_str(), R_OK) != 0) {
    Fatal(kExitUsage, "{} is missing: it belongs beside the command", library);
  }
  // The loader takes both for the end of a name.
  if (library.find_first_of(" :") != std::string::npos) {
    Fatal(kExitUsage, "{} cannot be preloaded: its path has a space or a colon", library);
  }
  return library;
}

void PrependPreload(const std::string& library) {
  const char* others = getenv("LD_PRELOAD");
  const bool has_others = others != nullptr && *others != '\0';
  setenv("LD_PRELOAD", (has_others ? library + ":" + others : library).c_str(), 1);
}

std::string FindProgramOrFail(const std::string& program) {
  int error;
  const auto path = FindProgram(program, &error);
  if (path) return *path;
  if (error == EACCES) Fatal(kExitNotExecutable, "{}: not an executable file", program);
  Fatal(kExitNotFound, "{}: {}", program,
        program.find('/') == std::string::npos ? "no such program in PATH" : strerror(error));
}

struct Collected {
  ProcessStats program;
  std::vector<ProcessStats> children;
  bool has_program = false;
};

// Reads what the processes of the session left and removes what is left of
// those that have ended.
Collected Collect(const std::string& dir, const std::string& session, const ChildResult& child) {
  Collected collected;
  collected.program.pid = child.pid;
  for (const StatsFile& file : ReadStatsDir(dir)) {
    if (file.process.session != session) continue;
    if (file.process.pid == child.pid && file.process.start_time == child.start_time) {
      collected.program = file.process;
      collected.has_program = true;
    } else {
      collected.children.push_back(file.process);
    }
    if (!file.process.is_alive) unlink(file.path.c_str());
  }
  // A process that was killed could not write this down.
  uint64_t& peak = collected.program.peak_resident_bytes;
  if (peak == 0) peak = child.peak_resident_bytes;
  return collected;
}

// Who divides the memory of a process wants to see how.
bool DividesMemory(const Options& options) {
  const Options defaults;
  return options.memory_bytes != defaults.memory_bytes ||
         options.storage_fraction != defaults.storage_fraction || options.share != defaults.share;
}

void Report(const RunRequest& request, const Options& options, const Collected& collected) {
  if (!request.quiet) {
    std::vector<ProcessStats> processes = collected.children;
    if (collected.has_program) processes.push_back(collected.program);
    std::stable_sort(processes.begin(), processes.end(),
                     [](const ProcessStats& a, const ProcessStats& b) {
                       return a.peak_charged_bytes > b.peak_charged_bytes;
                     });
    const PoolLines pool_lines =
        DividesMemory(options) ? PoolLines::kAll : PoolLines::kWhereShort;
    fmt::print(stderr, "{}", FormatTables(processes, pool_lines));
  }
  if (request.json_file.empty()) return;
  const std::string json = FormatJson(collected.program, collected.children);
  if (const int error = WriteOutputFile(request.json_file, json)) {
    Say("cannot write {}: {}", request.json_file, strerror(error));
  }
}

void ReportAudit(const std::string& file, const AuditWatcher& watcher) {
  struct Moment {
    const char* key;
    const char* name;
    const Audit* audit;
  };
  const Audit* const at_exit = watcher.at_exit().get();
  const Audit* peak = watcher.peak().get();
  // It grew to its end faster than it was looked at.
  if (at_exit != nullptr && (peak == nullptr || at_exit->resident_bytes >= peak->resident_bytes)) {
    peak = at_exit;
  }
  const Moment moments[] = {{"peak", "at its peak", peak}, {"at_exit", "at its end", at_exit}};
  nlohmann::ordered_json json;
  for (const Moment& moment : moments) {
    if (moment.audit == nullptr) {
      json[moment.key] = nullptr;
      continue;
    }
    std::vector<NamedSite> sites = NameSites(*moment.audit, SIZE_MAX);
    json[moment.key] = AuditJson(*moment.audit, sites);
    if (file != "-") continue;
    if (sites.size() > kDefaultSites) sites.resize(kDefaultSites);
    Say("{}:", moment.name);
    fmt::print(stderr, "{}", FormatAudit(*moment.audit, sites));
  }
  if (peak == nullptr) {
    Say("{}", watcher.error().empty() ? "the program ended before it could be audited"
                                      : watcher.error());
  }
  if (file == "-") return;
  const std::string text = json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
  if (const int error = WriteOutputFile(file, text + "\n")) {
    Say("cannot write {}: {}", file, strerror(error));
  }
}

}  // namespace

void RunCommand(const RunRequest& request) {
  const Options options = ParseOptions(request.options);
  if (!request.json_file.empty()) {
    if (const int error = CheckOutputFile(request.json_file)) {
      Fatal(kExitUsage, "cannot write {}: {}", request.json_file, strerror(error));
    }
  }
  const bool audits = !request.audit_file.empty();
  if (audits && request.audit_file != "-") {
    if (const int error = CheckOutputFile(request.audit_file)) {
      Fatal(kExitUsage, "cannot write {}: {}", request.audit_file, strerror(error));
    }
  }
  const std::string program = FindProgramOrFail(request.program.front());
  const std::string library = FindLibrary();
  const std::string stats_dir = PrepareStatsDir(options);
  const auto why_not = WhyNotInterposable(program);
  if (why_not) {
    Say("{} cannot be interposed, nothing is enforced: {}", request.program.front(), *why_not);
  }
  const std::string session = NewSession();
  setenv("TASKMEM_SESSION", session.c_str(), 1);
  PrependPreload(library);

  std::unique_ptr<AuditWatcher> watcher;
  unsetenv(kExitAuditVariable);
  if (audits) {
    setenv(kExitAuditVariable, fmt::to_string(getpid()).c_str(), 1);
    watcher = std::make_unique<AuditWatcher>(stats_dir, session);
  }
  const ChildResult child = RunChild(program, request.program);
  if (watcher != nullptr) watcher->Stop();
  if (child.exec_errno != 0) {
    Fatal(child.exec_errno == ENOENT ? kExitNotFound : kExitNotExecutable, "{}: {}",
          request.program.front(), strerror(child.exec_errno));
  }
  // Nobody may read standard error any more; the exit status still counts.
  signal(SIGPIPE, SIG_IGN);
  Collected collected = Collect(stats_dir, session, child);
  if (!collected.has_program) collected.program.program = program;
  if (!collected.has_program && !why_not) {
    Say("{} left no books: it could not be interposed, and nothing was enforced",
        request.program.front());
  }
  Report(request, options, collected);
  if (watcher != nullptr) ReportAudit(request.audit_file, *watcher);
  EndLike(child.wait_status);
}

}  // namespace taskmem
