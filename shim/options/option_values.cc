#include "shim/options/option_values.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "shim/options/regex_size.h"
#include "shim/options/value_text.h"

namespace taskmem {
namespace {

constexpr Choice<bool> kFlagChoices[] = {{"1", true}, {"0", false}};
constexpr Choice<bool> kSwitchChoices[] = {{"on", true}, {"off", false}};

// A relative path is taken from where the process starts. The command makes paths absolute, as the
// processes of one run may stand in different folders.
template <size_t kBytes>
bool ParsePath(const char* value, char (&path)[kBytes]) {
  if (*value == '/') return CopyText(value, path);
  char folder[kBytes];
  if (*value == '\0' || getcwd(folder, sizeof(folder)) == nullptr) return false;
  const size_t used = strlen(folder);
  const size_t more = strlen(value);
  if (used + 1 + more >= kBytes) return false;
  memcpy(path, folder, used);
  path[used] = '/';
  memcpy(path + used + 1, value, more + 1);
  return true;
}

}  // namespace

bool ParseTaskBy(const char* value, Options* options) {
  constexpr Choice<TaskBy> kChoices[] = {
      {"process", TaskBy::kProcess}, {"thread", TaskBy::kThread}, {"none", TaskBy::kNone}};
  if (ParseChoice(value, kChoices, &options->task_by)) return true;
  constexpr char kPrefix[] = "thread-name=";
  constexpr size_t kPrefixBytes = sizeof(kPrefix) - 1;
  if (strncmp(value, kPrefix, kPrefixBytes) != 0) return false;
  const char* regex = value + kPrefixBytes;
  char name_regex[sizeof(options->thread_name_regex)];
  if (*regex == '\0' || !CopyText(regex, name_regex) || !IsExtendedRegex(name_regex)) return false;
  memcpy(options->thread_name_regex, name_regex, sizeof(name_regex));
  options->task_by = TaskBy::kThreadName;
  return true;
}

bool ParseTaskPerRename(const char* value, Options* options) {
  return ParseChoice(value, kFlagChoices, &options->task_per_rename);
}

bool ParseInherit(const char* value, Options* options) {
  constexpr Choice<Inherit> kChoices[] = {
      {"until-end", Inherit::kUntilEnd}, {"always", Inherit::kAlways}, {"never", Inherit::kNever}};
  return ParseChoice(value, kChoices, &options->inherit);
}

bool ParseQuota(const char* value, Options* options) {
  uint64_t bytes;
  if (!ParseBytes(value, &bytes) || bytes == 0) return false;
  options->quota_bytes = bytes;
  return true;
}

bool ParseMemory(const char* value, Options* options) {
  uint64_t bytes = 0;
  const bool by_container = strcmp(value, "container") == 0;
  if (!by_container && (!ParseBytes(value, &bytes) || bytes == 0)) return false;
  options->memory_bytes = bytes;
  return true;
}

// "0", "0.25", ".5": at least 0 and less than 1, as Spark has it.
bool ParseStorageFraction(const char* value, Options* options) {
  if (strspn(value, "0123456789.") != strlen(value)) return false;
  char* end = nullptr;
  const double fraction = strtod(value, &end);
  if (end == value || *end != '\0' || fraction >= 1) return false;
  options->storage_fraction = fraction;
  return true;
}

bool ParseShare(const char* value, Options* options) {
  constexpr Choice<Sharing> kChoices[] = {
      {"none", Sharing::kNone}, {"fair", Sharing::kFair}, {"spark", Sharing::kSpark}};
  const bool is_auto = strcmp(value, "auto") == 0;
  if (!is_auto && !ParseChoice(value, kChoices, &options->share)) return false;
  options->share_given = !is_auto;
  return true;
}

bool ParseAtLimit(const char* value, Options* options) {
  constexpr Choice<AtLimit> kChoices[] = {
      {"refuse", AtLimit::kRefuse}, {"overdraw", AtLimit::kOverdraw}, {"kill", AtLimit::kKill}};
  return ParseChoice(value, kChoices, &options->at_limit);
}

bool ParseRefuseMin(const char* value, Options* options) {
  if (!ParseBytes(value, &options->refuse_min_bytes)) return false;
  options->refuse_min_given = true;
  return true;
}

bool ParseRefusalBudget(const char* value, Options* options) {
  uint64_t count;
  if (!ParseDigits(&value, &count) || *value != '\0') return false;
  options->refusal_budget = count;
  return true;
}

bool ParseAtBudget(const char* value, Options* options) {
  constexpr Choice<AtBudget> kChoices[] = {{"overdraw", AtBudget::kOverdraw},
                                           {"kill", AtBudget::kKill}};
  return ParseChoice(value, kChoices, &options->at_budget);
}

// "80%", or none.
bool ParseSoftLimit(const char* value, Options* options) {
  uint64_t percent = 0;
  if (strcmp(value, "none") != 0) {
    if (!ParseDigits(&value, &percent) || strcmp(value, "%") != 0) return false;
    if (percent == 0 || percent >= 100) return false;
  }
  options->soft_limit_percent = static_cast<uint32_t>(percent);
  return true;
}

bool ParseSpillTimeout(const char* value, Options* options) {
  return ParseDuration(value, &options->spill_timeout_ns);
}

bool ParseWait(const char* value, Options* options) {
  return ParseDuration(value, &options->wait_ns);
}

bool ParsePlugin(const char* value, Options* options) { return CopyText(value, options->plugin); }

bool ParseSpillDir(const char* value, Options* options) {
  return ParsePath(value, options->spill_dir);
}

bool ParseSpillFsync(const char* value, Options* options) {
  return ParseChoice(value, kSwitchChoices, &options->spill_fsync);
}

bool ParseSpillCompress(const char* value, Options* options) {
  constexpr Choice<SpillCodec> kChoices[] = {{"none", SpillCodec::kNone},
                                             {"lz4", SpillCodec::kLz4}};
  return ParseChoice(value, kChoices, &options->spill_compress);
}

bool ParseOverflow(const char* value, Options* options) {
  constexpr Choice<Overflow> kChoices[] = {{"1", Overflow::kOn}, {"0", Overflow::kOff}};
  return ParseChoice(value, kChoices, &options->overflow);
}

bool ParseOverflowSize(const char* value, Options* options) {
  uint64_t bytes = 0;
  // Small blocks go there by pages of up to 512 KiB, and each thread has some of its own.
  constexpr uint64_t kLeastBytes = uint64_t{4} << 20;
  if (strcmp(value, "half") != 0 && (!ParseBytes(value, &bytes) || bytes < kLeastBytes)) {
    return false;
  }
  options->overflow_size_bytes = bytes;
  return true;
}

bool ParseAtThrashing(const char* value, Options* options) {
  constexpr Choice<AtThrashing> kChoices[] = {{"continue", AtThrashing::kContinue},
                                              {"refuse", AtThrashing::kRefuse},
                                              {"kill", AtThrashing::kKill}};
  return ParseChoice(value, kChoices, &options->at_thrashing);
}

bool ParseResidencyInterval(const char* value, Options* options) {
  int64_t ns = 0;
  constexpr int64_t kLeastNs = 1'000'000;
  if (!ParseDuration(value, &ns) || ns < kLeastNs) return false;
  options->residency_interval_ns = ns;
  return true;
}

bool ParseLog(const char* value, Options* options) { return ParsePath(value, options->log_file); }

bool ParseLogLevel(const char* value, Options* options) {
  constexpr Choice<LogLevel> kChoices[] = {{"debug", LogLevel::kDebug},
                                           {"info", LogLevel::kInfo},
                                           {"warn", LogLevel::kWarn},
                                           {"error", LogLevel::kError}};
  return ParseChoice(value, kChoices, &options->log_level);
}

bool ParseProfile(const char* value, Options* options) {
  constexpr const char* kNames[] = {"auto", "none", "java", "postgres", "sqlite3", "node"};
  for (const char* name : kNames) {
    if (strcmp(value, name) == 0) return CopyText(name, options->profile);
  }
  return false;
}

bool ParseRedirectLibc(const char* value, Options* options) {
  return ParseChoice(value, kSwitchChoices, &options->redirect_libc);
}

bool ParsePoolThreads(const char* value, Options* options) {
  constexpr Choice<PoolThreads> kChoices[] = {{"sole", PoolThreads::kSole},
                                              {"untracked", PoolThreads::kUntracked}};
  return ParseChoice(value, kChoices, &options->pool_threads);
}

// "auto", "off", "require", "require=NAME,...".
bool ParseAdopt(const char* value, Options* options) {
  constexpr Choice<Adopt> kChoices[] = {
      {"auto", Adopt::kAuto}, {"off", Adopt::kOff}, {"require", Adopt::kRequire}};
  if (ParseChoice(value, kChoices, &options->adopt)) {
    options->adopt_names[0] = '\0';
    return true;
  }
  constexpr char kPrefix[] = "require=";
  constexpr size_t kPrefixBytes = sizeof(kPrefix) - 1;
  if (strncmp(value, kPrefix, kPrefixBytes) != 0 || value[kPrefixBytes] == '\0') return false;
  if (!CopyText(value + kPrefixBytes, options->adopt_names)) return false;
  options->adopt = Adopt::kRequire;
  return true;
}

bool ParseSites(const char* value, Options* options) {
  return ParseChoice(value, kSwitchChoices, &options->sites);
}

bool ParseSitesInterval(const char* value, Options* options) {
  uint64_t bytes = 0;
  constexpr uint64_t kMostBytes = uint64_t{1} << 40;
  if (!ParseBytes(value, &bytes) || bytes == 0 || bytes > kMostBytes) return false;
  options->sites_interval_bytes = bytes;
  options->sites_interval_given = true;
  return true;
}

bool ParseLabel(const char* value, Options* options) { return CopyText(value, options->label); }

bool ParseStatsDir(const char* value, Options* options) {
  return ParsePath(value, options->stats_dir);
}

}  // namespace taskmem
