#include "tools/cli/run_command.h"

#include <fcntl.h>
#include <sys/auxv.h>
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

#include "accounting/audit/exit_audit_protocol.h"
#include "shim/base/environment.h"
#include "shim/base/user_directory.h"
#include "shim/options/option_table.h"
#include "shim/options/options.h"
#include "shim/options/variables.h"
#include "spill/files/file_ops.h"
#include "spill/files/left_overs.h"
#include "spill/files/spill_dir.h"
#include "tools/audit/audit_watcher.h"
#include "tools/audit_report/audit_report.h"
#include "tools/base/child_process.h"
#include "tools/base/interposable.h"
#include "tools/base/json_document.h"
#include "tools/base/message.h"
#include "tools/base/output_file.h"
#include "tools/base/text_table.h"
#include "tools/base/units.h"
#include "tools/cli/audit_command.h"
#include "tools/cli/environment_options.h"
#include "tools/cli/refusal_hint.h"
#include "tools/cli/run_listener.h"
#include "tools/recording/frame_writer.h"
#include "tools/recording/record_thread.h"
#include "tools/sites/named_sites.h"
#include "tools/stats/report.h"
#include "tools/stats/residency_looks.h"
#include "tools/stats/run_session.h"
#include "tools/stats/stats_dirs.h"
#include "tools/stats/stats_files.h"
#include "tools/stats/stats_reader.h"

namespace taskmem {
namespace {

constexpr char kInstalledLibrary[] = "libtaskmem.so.0";  // its SONAME

// The program, and those that it starts, may stand in other folders.
std::string AbsolutePath(const std::string& path) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.string();
}

bool TakesPath(const OptionInfo& option) {
  constexpr std::string_view kPaths[] = {"PATH", "FILE", "LIBRARY"};
  return option.value_name != nullptr &&
         std::find(std::begin(kPaths), std::end(kPaths), option.value_name) != std::end(kPaths);
}

// The flags, or else the inherited variables; gives both to the environment.
Options ParseOptions(const std::map<std::string, std::string>& flags) {
  for (size_t i = 0; i < kOptionCount; ++i) {
    const OptionInfo& option = kOptions[i];
    const auto flag = flags.find(option.name);
    const bool is_flag = flag != flags.end();
    const char* const inherited = EnvironmentVariable(option.variable);
    if (!is_flag && inherited == nullptr) continue;
    std::string value = is_flag ? flag->second : inherited;
    if (TakesPath(option) && !value.empty()) value = AbsolutePath(value);
    Options ignored;
    if (is_flag && !option.parse(value.c_str(), &ignored)) {
      Fatal(kExitUsage, "bad value '{}' for --{}: expected {}", flag->second, option.name,
            option.expected);
    }
    setenv(option.variable, value.c_str(), 1);
  }
  return OptionsOfEnvironmentOrFail();
}

DiskError CheckSpillDir(const Options& options, SpillDir* dir, bool* in_memory) {
  if (const DiskError error = dir->Open(options.spill_dir)) return error;
  if (const DiskError error = dir->IsInMemory(in_memory)) return error;
  int fd = -1;
  const DiskError error = dir->OpenUnlinked(0, &fd);
  if (fd >= 0) close(fd);
  return error;
}

// Files that cannot be used stop the command before it starts the program.
void CheckFiles(const Options& options) {
  if (options.log_file[0] != '\0') {
    if (const int error = CheckAppendedFile(options.log_file)) {
      Fatal(kExitUsage, "cannot use {} for --log: {}", Printable(options.log_file),
            strerror(error));
    }
  }
  if (options.plugin[0] != '\0') {
    const std::string plugin = Printable(options.plugin);
    if (access(options.plugin, R_OK) != 0) {
      Fatal(kExitUsage, "cannot use {} for --plugin: {}", plugin, strerror(errno));
    }
    if (const auto why_not = WhyNotLoadable(options.plugin)) {
      Fatal(kExitUsage, "cannot use {} for --plugin: {}", plugin, *why_not);
    }
  }
  if (options.spill_dir[0] != '\0') {
    const std::string name = Printable(options.spill_dir);
    SpillDir dir;
    bool in_memory = false;
    const DiskError error = CheckSpillDir(options, &dir, &in_memory);
    dir.Remove();
    if (error) {
      char why[256];
      Describe(error, why, sizeof(why));
      Fatal(kExitUsage, "cannot use {} for --spill-dir: {}", name, why);
    }
    if (in_memory && options.overflow != Overflow::kOff) {
      Fatal(kExitUsage,
            "cannot use {} for --spill-dir: it is kept in memory, where overflow "
            "saves none; name one on a disk",
            name);
    }
  }
}

// Empty: the program runs without books that can be read.
std::vector<std::string> PrepareStatsDirs(const Options& options) {
  std::string error;
  std::vector<std::string> dirs = MakeStatsDirs(options, &error);
  // In one that was named a file can be made. What becomes of it later is no reason to stop.
  if (!dirs.empty() && options.stats_dir[0] != '\0') {
    const std::string file = fmt::format("{}/.check-{}", dirs.front(), getpid());
    const int why = CheckAppendedFile(file);
    if (why != 0) error = strerror(why);
  }
  if (!dirs.empty() && error.empty()) return dirs;
  if (options.stats_dir[0] != '\0') {
    Fatal(kExitUsage, "cannot use {} for --stats-dir: {}", options.stats_dir, error);
  }
  Say("no tables, since there is no place for them: {}", error);
  return {};
}

// Where this command lies: also where there is no /proc.
std::filesystem::path OwnPath() {
  std::error_code error;
  auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) return path;
  const auto* const executed = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  return executed != nullptr ? std::filesystem::canonical(executed, error)
                             : std::filesystem::path();
}

// The library stands beside the command, or is installed with it: PREFIX/bin and PREFIX/lib.
std::string FindLibrary() {
  const std::filesystem::path folder = OwnPath().parent_path();
  std::string library = folder / "libtaskmem.so";
  if (access(library.c_str(), R_OK) != 0) {
    const std::string missing = std::move(library);
    library = folder.parent_path() / "lib" / kInstalledLibrary;
    if (access(library.c_str(), R_OK) != 0) {
      Fatal(kExitUsage, "{} is missing, and so is {}: reinstall taskmem", missing, library);
    }
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

struct Collected {
  ProcessStats program;
  std::vector<ProcessStats> children;
  bool has_program = false;
};

// What is needed to start the program, and to find its books afterwards.
struct Preparation {
  Options options;
  std::string program;                  // its path
  std::vector<std::string> stats_dirs;  // none: nothing can be read
  std::string session;
  std::unique_ptr<RunListener> listener;
  bool can_be_interposed = true;
};

// The books that the program said are its own, wherever they are. Nothing where it said nothing,
// or has removed them since: by an exec that gave it others, or at its end.
std::optional<ProcessStats> ReadToldBooks(int file, const ChildResult& child) {
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0 || status.st_nlink == 0) return std::nullopt;
  const auto snapshot = StatsSnapshot::Read(file, StatsParts::kAll);
  if (!snapshot) return std::nullopt;
  ProcessStats process = ReadProcessStats(*snapshot);
  if (process.pid != child.pid || process.start_time != child.start_time) return std::nullopt;
  // In another root it is not met in any folder of ours.
  std::error_code error;
  const auto path = std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", file), error);
  struct stat named;
  if (!error && lstat(path.c_str(), &named) == 0 && named.st_dev == status.st_dev &&
      named.st_ino == status.st_ino) {
    unlink(path.c_str());
  }
  return process;
}

// Reads what the processes of the session left and removes what is left of
// those that have ended.
Collected Collect(const Preparation& run, const ChildResult& child) {
  Collected collected;
  collected.program.pid = child.pid;
  const auto told = ReadToldBooks(run.listener->stats_file(), child);
  ResidencyLooks looks(kTimeOfOneLook,
                       [&](const ProcessStats& process) { return process.session == run.session; });
  for (const StatsFile& file : ReadStatsDirs(run.stats_dirs, &looks)) {
    if (file.process.session != run.session || file.process.has_left) continue;
    if (file.process.pid == child.pid && file.process.start_time == child.start_time) {
      collected.program = file.process;
      collected.has_program = true;
    } else {
      collected.children.push_back(file.process);
    }
    if (!file.process.is_alive) unlink(file.path.c_str());
  }
  if (told) {
    collected.program = *told;
    collected.has_program = true;
  }
  if (WIFSIGNALED(child.wait_status)) {
    collected.program.end = fmt::format("killed (signal {})", WTERMSIG(child.wait_status));
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
         options.storage_fraction != defaults.storage_fraction || options.share_given;
}

void Report(const RunRequest& request, const Options& options, const Collected& collected) {
  if (!request.quiet) {
    // The program itself, then whoever held most.
    std::vector<ProcessStats> processes = collected.children;
    std::stable_sort(processes.begin(), processes.end(),
                     [](const ProcessStats& a, const ProcessStats& b) {
                       return a.peak_charged_bytes > b.peak_charged_bytes;
                     });
    if (collected.has_program) processes.insert(processes.begin(), collected.program);
    const PoolLines pool_lines = DividesMemory(options) ? PoolLines::kAll : PoolLines::kWhereShort;
    WriteText(STDERR_FILENO, FormatTables(processes, pool_lines, TerminalColumns(STDERR_FILENO)));
  }
  if (request.json_file.empty()) return;
  const std::string json = FormatJson(collected.program, collected.children);
  if (request.json_file == "-") {
    WriteText(STDERR_FILENO, json);
    return;
  }
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
  nlohmann::ordered_json json = JsonDocument("run-audit");
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
    WriteText(STDERR_FILENO, FormatAudit(*moment.audit, sites));
  }
  if (peak == nullptr) {
    Say("{}",
        watcher.error().empty() ? "the program ended before it could be audited" : watcher.error());
  }
  if (file == "-") return;
  if (const int error = WriteOutputFile(file, JsonText(json))) {
    Say("cannot write {}: {}", file, strerror(error));
  }
}

// Checks what was asked for, and gives the environment what the library reads there.
Preparation Prepare(const RunRequest& request) {
  Preparation run;
  run.options = ParseOptions(request.options);
  SayUnknownVariables([](const char* line) { SayText(line); });
  CheckFiles(run.options);
  if (!request.json_file.empty() && request.json_file != "-")
    CheckOutputFileOrFail(request.json_file);
  if (!request.audit_file.empty() && request.audit_file != "-")
    CheckOutputFileOrFail(request.audit_file);
  if (!request.record_file.empty()) {
    const std::string why_not = WhyNotRecorded(request.record_file);
    if (!why_not.empty()) {
      Fatal(kExitUsage, "cannot record into {}: {}", request.record_file, why_not);
    }
  }
  run.program = FindProgramOrFail(request.program.front());
  const std::string library = FindLibrary();
  run.stats_dirs = PrepareStatsDirs(run.options);
  if (const auto why_not = WhyNotInterposable(run.program)) {
    Say("{} cannot be interposed, nothing is enforced: {}", request.program.front(), *why_not);
    run.can_be_interposed = false;
  }
  run.session = NewSession();
  setenv("TASKMEM_SESSION", run.session.c_str(), 1);
  run.listener = std::make_unique<RunListener>(run.session);
  PrependPreload(library);
  unsetenv(kExitAuditVariable);
  return run;
}

// Nothing where there can be none: the program runs without.
std::unique_ptr<AuditWatcher> WatchForAudit(const Preparation& run) {
  try {
    setenv(kExitAuditVariable, fmt::to_string(getpid()).c_str(), 1);
    return std::make_unique<AuditWatcher>(run.stats_dirs, run.session);
  } catch (...) {
    unsetenv(kExitAuditVariable);
    SayCaught("no audit");
    return nullptr;
  }
}

// The same.
std::unique_ptr<RecordThread> Record(const Preparation& run, const std::string& file) {
  try {
    return std::make_unique<RecordThread>(file, run.stats_dirs, run.session);
  } catch (...) {
    SayCaught("no recording");
    return nullptr;
  }
}

void EndRecording(const std::string& file, const ChildResult& child, RecordThread* recording) {
  recording->Stop(WIFSIGNALED(child.wait_status) ? WTERMSIG(child.wait_status) : 0);
  if (!recording->error().empty()) Say("cannot record into {}: {}", file, recording->error());
}

// Removes what processes that were killed left in the spill directory.
void TidySpillDir(const Options& options) {
  if (options.spill_dir[0] != '\0') {
    const int fd = open(options.spill_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    RemoveLeftOvers(SystemFileOps(), fd, options.spill_dir, nullptr);
    close(fd);
  } else if (options.overflow == Overflow::kOn) {
    ForEachUserDirectory(
        kSpillParent,
        [](void*, const char* path, int fd) {
          RemoveLeftOvers(SystemFileOps(), fd, path, nullptr);
          // Unless there is something in it. Who needs it makes it again.
          rmdir(path);
        },
        nullptr);
  }
}

// Beside the table, not instead of it.
void SayFirstRefusal(const RunRequest& request, const Collected& collected,
                     const AuditWatcher* watcher) {
  if (request.quiet) return;
  KnownSites known;
  known.was_asked_for = watcher != nullptr;
  const Audit* const peak = watcher != nullptr ? watcher->peak().get() : nullptr;
  if (peak != nullptr) {
    known.pid = peak->pid;
    known.sites = NameSites(*peak, SIZE_MAX);
  }
  std::vector<ProcessStats> processes = {collected.program};
  processes.insert(processes.end(), collected.children.begin(), collected.children.end());
  const std::string hint = RefusalHint(processes, known);
  if (hint.empty()) return;
  WriteText(STDERR_FILENO, ReportLine("taskmem: " + hint, TerminalColumns(STDERR_FILENO)));
}

void ReportAll(const RunRequest& request, const Preparation& run, const ChildResult& child,
               const AuditWatcher* watcher) {
  run.listener->Hear(child.pid);
  Collected collected = Collect(run, child);
  if (!collected.has_program) collected.program.program = run.program;
  if (!collected.has_program && run.listener->has_no_books()) {
    Say("{} left no tables, as there was no place for them; its limits were enforced",
        request.program.front());
  } else if (!collected.has_program && run.can_be_interposed) {
    Say("{} left no books: it could not be interposed, and nothing was enforced",
        request.program.front());
  }
  TidySpillDir(run.options);
  Report(request, run.options, collected);
  if (watcher != nullptr) ReportAudit(request.audit_file, *watcher);
  SayFirstRefusal(request, collected, watcher);
}

}  // namespace

void RunCommand(const RunRequest& request) {
  IgnoreOutputSignals();
  const Preparation run = Prepare(request);
  const auto watcher = request.audit_file.empty() ? nullptr : WatchForAudit(run);
  const auto recording = request.record_file.empty() ? nullptr : Record(run, request.record_file);
  const ChildResult child = RunChild(run.program, request.program);
  // Whatever fails from here on, the status is the program's.
  try {
    if (watcher != nullptr) watcher->Stop();
    if (recording != nullptr) EndRecording(request.record_file, child, recording.get());
    if (child.exec_errno == 0) ReportAll(request, run, child, watcher.get());
  } catch (...) {
    SayCaught("cannot report");
  }
  if (child.exec_errno != 0) {
    Fatal(child.exec_errno == ENOENT ? kExitNotFound : kExitNotExecutable, "{}: {}",
          request.program.front(), strerror(child.exec_errno));
  }
  EndLike(child.wait_status);
}

}  // namespace taskmem
