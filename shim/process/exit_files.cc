#include "shim/process/exit_files.h"

#include <sys/syscall.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "shim/base/environment.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/options/exit_paths.h"
#include "shim/process/own_command.h"
#include "shim/published/process_label.h"
#include "shim/published/program_name.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

constexpr int kBadOptionStatus = 2;

void OpenPath(const char* variable, char (&path)[kExitPathBytes]) {
  const char* const pattern = EnvironmentVariable(variable);
  if (pattern == nullptr || *pattern == '\0') return;
  char parsed[kExitPathBytes];
  if (!ParseExitPath(pattern, parsed, sizeof(parsed))) {
    Message("bad value '%s' for %s: expected %s", pattern, variable, kExitPathExpected);
    os::Call(SYS_exit_group, kBadOptionStatus);
  }
  memcpy(path, parsed, sizeof(parsed));
}

// `what`: the command's word for it.
bool Write(char (&pattern)[kExitPathBytes], const char* variable, const char* what) {
  if (pattern[0] == '\0') return true;
  char path[kExitPathBytes + kLabelBytes];
  bool is_written = false;
  if (ExpandExitPath(pattern, g_stats->pid, ProcessLabel(), StatsProgram(), path, sizeof(path))) {
    char pid[16];
    snprintf(pid, sizeof(pid), "%u", g_stats->pid);
    char name[] = "taskmem";
    char json[] = "--json";
    char output[] = "--output";
    char* const arguments[] = {name, const_cast<char*>(what), pid, json, output, path, nullptr};
    const int error = RunOwnCommand(arguments);
    is_written = error == 0;
    if (error == ENOENT) {
      Message("%s: %s is not written: there is no command taskmem beside the library", variable,
              path);
    } else if (!is_written && error != EIO) {  // what went wrong there the command has said
      Message("%s: %s is not written: %s", variable, path, strerrordesc_np(error));
    }
  } else {
    Message("%s: the path for this process is too long", variable);
  }
  if (is_written) pattern[0] = '\0';
  return is_written;
}

}  // namespace

void OpenExitFiles() {
  OpenPath(kExitStatsVariable, g_stats->exit_stats);
  OpenPath(kExitAuditFileVariable, g_stats->exit_audit_file);
}

bool HasExitFiles() {
  return g_stats->exit_stats[0] != '\0' || g_stats->exit_audit_file[0] != '\0';
}

bool WriteExitFiles() {
  // A filter that the program has installed may not let it start others.
  if (os::IsFiltered()) return !HasExitFiles();
  const bool has_audit = Write(g_stats->exit_audit_file, kExitAuditFileVariable, "audit");
  const bool has_stats = Write(g_stats->exit_stats, kExitStatsVariable, "stats");
  return has_audit && has_stats;
}

}  // namespace taskmem
