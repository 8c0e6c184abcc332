#include "shim/options/options.h"

#include <regex.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "shim/base/environment.h"

namespace taskmem {
namespace {

template <typename T>
struct Choice {
  const char* name;
  T value;
};

template <typename T, size_t kCount>
bool ParseChoice(const char* text, const Choice<T> (&choices)[kCount], T* result) {
  for (const Choice<T>& choice : choices) {
    if (strcmp(text, choice.name) == 0) {
      *result = choice.value;
      return true;
    }
  }
  return false;
}

constexpr Choice<bool> kFlagChoices[] = {{"1", true}, {"0", false}};
constexpr Choice<bool> kSwitchChoices[] = {{"on", true}, {"off", false}};

template <size_t kBytes>
bool CopyText(const char* text, char (&result)[kBytes]) {
  const size_t length = strlen(text);
  if (length >= kBytes) return false;
  memcpy(result, text, length + 1);
  return true;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Reads digits from `*text` on, which is left behind them. False where there is
// none or the number does not fit.
bool ParseDigits(const char** text, uint64_t* number) {
  if (!IsDigit(**text)) return false;
  uint64_t result = 0;
  for (; IsDigit(**text); ++*text) {
    if (__builtin_mul_overflow(result, uint64_t{10}, &result) ||
        __builtin_add_overflow(result, static_cast<uint64_t>(**text - '0'), &result)) {
      return false;
    }
  }
  *number = result;
  return true;
}

// "", "B", "K", "KB", "KiB" and so on, in either case. False for anything else.
bool ParseUnit(const char* text, uint64_t* unit) {
  constexpr char kUnits[] = "KMGTPE";
  *unit = 1;
  const char upper = static_cast<char>(*text & ~0x20);
  const char* at = *text != '\0' ? strchr(kUnits, upper) : nullptr;
  if (at != nullptr && *at != '\0') {
    *unit = uint64_t{1} << (10 * (at - kUnits + 1));
    ++text;
    if (strcasecmp(text, "iB") == 0) return true;
  }
  return *text == '\0' || strcasecmp(text, "B") == 0;
}

// Behind the bracket expression that begins at `text`.
const char* BehindBrackets(const char* text) {
  ++text;
  if (*text == '^') ++text;
  // First in it, it is a character.
  if (*text == ']') ++text;
  while (*text != '\0' && *text != ']') ++text;
  return *text == '\0' ? text : text + 1;
}

// How many copies the repetition at `*text` makes of what stands before it, which is left behind
// it; 1: it makes none.
uint64_t CopiesOf(const char** text) {
  const char first = *(*text)++;
  if (first == '+') return 2;
  if (first != '{') return 1;
  uint64_t most = 1;
  uint64_t number = 0;
  while (ParseDigits(text, &number) || **text == ',') {
    if (**text == ',') ++*text;
    if (number >= most) most = number + 1;
  }
  if (**text == '}') ++*text;
  return most;
}

// How many parts regcomp makes of an expression of less than 256 bytes, which writes out what is
// repeated: it takes some 2 KiB for each, and three nested repetitions can be millions.
uint64_t PartsOf(const char* text) {
  constexpr uint64_t kMost = uint64_t{1} << 30;
  uint64_t parts[256] = {};  // of each group that is open
  size_t depth = 0;
  uint64_t last = 0;  // of what was last
  while (*text != '\0') {
    if (*text == '(') {
      parts[++depth] = 0;
      ++text;
      continue;
    }
    if (*text == ')' && depth > 0) {
      last = parts[depth--];
      ++text;
    } else if (strchr("+*?{", *text) != nullptr) {
      const uint64_t copies = CopiesOf(&text);
      uint64_t more = 0;
      if (__builtin_mul_overflow(last, copies - 1, &more) || more > kMost) return kMost;
      last += more;
      parts[depth] += more;
      if (parts[depth] > kMost) return kMost;
      continue;
    } else {
      last = 1;
      if (*text == '[') {
        text = BehindBrackets(text);
      } else {
        text += *text == '\\' && text[1] != '\0' ? 2 : 1;
      }
    }
    parts[depth] += last;
  }
  uint64_t all = 0;
  for (size_t i = 0; i <= depth; ++i) all += parts[i];
  return all;
}

bool IsExtendedRegex(const char* text) {
  constexpr uint64_t kMostParts = 4096;
  if (PartsOf(text) > kMostParts) return false;
  regex_t regex;
  if (regcomp(&regex, text, REG_EXTENDED | REG_NOSUB) != 0) return false;
  regfree(&regex);
  return true;
}

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
  return ParseChoice(value, kChoices, &options->share);
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

// Headings of `run --help`.
constexpr char kTasks[] = "Tasks";
constexpr char kQuotas[] = "Quotas and pools";
constexpr char kAtTheLimit[] = "At the limit";
constexpr char kSpill[] = "Spill and overflow";
constexpr char kAudit[] = "Audit";
constexpr char kOutput[] = "Output";
constexpr char kProgram[] = "The program";

}  // namespace

const OptionInfo kOptions[] = {
    {"task-by", "TASKMEM_TASK_BY", "HOW", "process",
     "What makes a task: the whole process, each thread, each thread whose name matches "
     "thread-name=REGEX, or none but the program itself, by the API.",
     ParseTaskBy,
     "process, thread, none or thread-name=REGEX (a POSIX extended expression, of less than 256 "
     "bytes and of modest repetitions)",
     kTasks},
    {"task-per-rename", "TASKMEM_TASK_PER_RENAME", nullptr, "0",
     "A thread that takes another name begins another task, and ends the one it had by its name.",
     ParseTaskPerRename, "1 or 0", kTasks},
    {"inherit", "TASKMEM_INHERIT", "WHEN", "until-end",
     "Whether a new thread works for the task of the thread that made it: until that task ends, "
     "always, or never.",
     ParseInherit, "until-end, always or never", kTasks},
    {"quota", "TASKMEM_QUOTA", "BYTES", "none", "What each task may hold.", ParseQuota,
     "a size above 0 such as 64M or 1.5GiB, or none", kQuotas},
    {"memory", "TASKMEM_MEMORY", "BYTES", "container",
     "What all tasks of a process may hold together; by default what its container, or the "
     "machine, has, less a reserve.",
     ParseMemory, "a size above 0 such as 512M or 16GiB, container or none", kQuotas},
    {"storage-fraction", "TASKMEM_STORAGE_FRACTION", "FRACTION", "0.5",
     "The part of --memory that cached blocks keep against tasks.", ParseStorageFraction,
     "a number of at least 0 and less than 1", kQuotas},
    {"share", "TASKMEM_SHARE", "RULE", "none",
     "How tasks share --memory: none, first come first served; fair, each may have all that is "
     "free "
     "but what the others of N active tasks lack of 1/2N; spark, each gets 1/N at most.",
     ParseShare, "none, fair or spark", kQuotas},
    {"residency-interval", "TASKMEM_RESIDENCY_INTERVAL", "TIME", "1s",
     "How often mappings that are charged by what of them is in memory are looked at.",
     ParseResidencyInterval, "a time of at least 1ms, such as 1s or 250ms", kQuotas},
    {"at-limit", "TASKMEM_AT_LIMIT", "ACTION", "refuse",
     "A request that does not fit the quota is refused (malloc returns NULL), overdraws, or kills "
     "the process with a report.",
     ParseAtLimit, "refuse, overdraw or kill", kAtTheLimit},
    {"refuse-min", "TASKMEM_REFUSE_MIN", "BYTES", "256K",
     "Smaller requests are never refused: they overdraw.", ParseRefuseMin,
     "a size such as 4096, 256K or 1MiB, or none", kAtTheLimit},
    {"refusal-budget", "TASKMEM_REFUSAL_BUDGET", "COUNT", "1000",
     "How often in a row a thread may be refused before --at-budget applies.", ParseRefusalBudget,
     "a number", kAtTheLimit},
    {"at-budget", "TASKMEM_AT_BUDGET", "ACTION", "overdraw",
     "What happens when the refusal budget is used up.", ParseAtBudget, "overdraw or kill",
     kAtTheLimit},
    {"soft-limit", "TASKMEM_SOFT_LIMIT", "PERCENT", "none",
     "Above this part of its quota a task's spill hooks are asked on taskmem's own thread, so that "
     "allocations rarely wait for them.",
     ParseSoftLimit, "a percentage from 1% to 99%, or none", kAtTheLimit},
    {"spill-timeout", "TASKMEM_SPILL_TIMEOUT", "TIME", "1s",
     "How long an allocation waits at most for spill hooks of other threads. The log names a hook "
     "that "
     "takes longer.",
     ParseSpillTimeout, "a time such as 1s, 250ms or 0", kAtTheLimit},
    {"wait", "TASKMEM_WAIT", "TIME", "0",
     "How long an allocation waits at most for other tasks to give memory of --memory back, while "
     "its task has less than 1/2N.",
     ParseWait, "a time such as 1s, 250ms or 0", kAtTheLimit},
    {"plugin", "TASKMEM_PLUGIN", "LIBRARY", "",
     "A library to load into the program, which registers spill hooks for it.", ParsePlugin,
     "the path of a shared library, of less than 256 bytes", kAtTheLimit},
    {"spill-dir", "TASKMEM_SPILL_DIR", "PATH", "",
     "Where evicted blocks and the overflow file go; not in a file system that lies in memory.",
     ParseSpillDir, "a path of less than 256 bytes", kSpill},
    {"spill-fsync", "TASKMEM_SPILL_FSYNC", "SWITCH", "off",
     "A block counts as written only when it is on the disk itself.", ParseSpillFsync, "on or off",
     kSpill},
    {"spill-compress", "TASKMEM_SPILL_COMPRESS", "CODEC", "none",
     "How evicted blocks are compressed.", ParseSpillCompress, "none or lz4", kSpill},
    {"overflow", "TASKMEM_OVERFLOW", nullptr, "0",
     "What a task has beyond its quota goes to a file, by default in /var/tmp/taskmem-UID, instead "
     "of being refused. So it does wherever --spill-dir is given; TASKMEM_OVERFLOW=0 forbids it.",
     ParseOverflow, "1 or 0", kSpill},
    {"overflow-size", "TASKMEM_OVERFLOW_SIZE", "BYTES", "half",
     "How large the overflow file of a process may become, at least 4M; by default half of what "
     "is free.",
     ParseOverflowSize, "a size of at least 4M such as 64M or 4G, half or none", kSpill},
    {"at-thrashing", "TASKMEM_AT_THRASHING", "ACTION", "continue",
     "What happens when memory goes out to the overflow file and comes back all the time: it goes "
     "on, nothing more goes there, or the process is killed with a report.",
     ParseAtThrashing, "continue, refuse or kill", kSpill},
    {"sites", "TASKMEM_SITES", "SWITCH", "on",
     "Allocations are sampled, so that an audit can say which code holds memory.", ParseSites,
     "on or off", kAudit},
    {"sites-interval", "TASKMEM_SITES_INTERVAL", "BYTES", "512K",
     "One sample in so many allocated bytes; unless this is given, rarer where samples would cost "
     "more than some 2.5 % of the time.",
     ParseSitesInterval, "a size above 0 such as 64K, up to 1 TiB", kAudit},
    {"log", "TASKMEM_LOG", "FILE", "", "Appends what taskmem does to a file.", ParseLog,
     "a path of less than 256 bytes", kOutput},
    {"log-level", "TASKMEM_LOG_LEVEL", "LEVEL", "info", "The least level that is logged.",
     ParseLogLevel, "debug, info, warn or error", kOutput},
    {"label", "TASKMEM_LABEL", "TEXT", "",
     "What the process is called in tables and JSON, beside its program.", ParseLabel,
     "a text of less than 64 bytes", kOutput},
    {"stats-dir", "TASKMEM_STATS_DIR", "PATH", "",
     "Where processes keep their books; empty: a folder of the user in /dev/shm.", ParseStatsDir,
     "a path of less than 256 bytes", kOutput},
    {"profile", "TASKMEM_PROFILE", "NAME", "auto",
     "Settings for a known program; auto goes by the name of the program.", ParseProfile,
     "auto, none, java, postgres, sqlite3 or node", kProgram},
    {"redirect-libc", "TASKMEM_REDIRECT_LIBC", "SWITCH", "on",
     "Libraries that bind to glibc's own malloc and mmap are redirected too.", ParseRedirectLibc,
     "on or off", kProgram},
    {"adopt", "TASKMEM_ADOPT", "HOW", "auto",
     "Allocators that libraries bring with them (jemalloc under another name, Arrow's mimalloc) "
     "hand out taskmem's memory: where that is safe, never, or else the program ends.",
     ParseAdopt, "auto, off, require or require=NAME,... (parts of names of libraries)", kProgram},
};
const size_t kOptionCount = sizeof(kOptions) / sizeof(kOptions[0]);

bool ParseOptionsFromEnvironment(Options* options, char* error, size_t error_bytes) {
  for (const OptionInfo& option : kOptions) {
    const char* value = EnvironmentVariable(option.variable);
    // Set to nothing is not set.
    if (value == nullptr || *value == '\0') continue;
    if (!option.parse(value, options)) {
      snprintf(error, error_bytes, "bad value '%s' for %s: expected %s", value, option.variable,
               option.expected);
      return false;
    }
  }
  return true;
}

bool ParseBytes(const char* text, uint64_t* bytes) {
  if (strcmp(text, "none") == 0) {
    *bytes = UINT64_MAX;
    return true;
  }
  uint64_t whole;
  if (!ParseDigits(&text, &whole)) return false;
  uint64_t fraction = 0;
  uint64_t fraction_unit = 1;
  if (*text == '.') {
    const char* start = ++text;
    if (!ParseDigits(&text, &fraction) || text - start > 9) return false;
    for (; start < text; ++start) fraction_unit *= 10;
  }
  uint64_t unit;
  if (!ParseUnit(text, &unit)) return false;
  // Half a byte is a slip of the pen.
  if (unit == 1 && fraction_unit != 1) return false;
  using Wide = unsigned __int128;
  const Wide result = Wide{whole} * unit + Wide{fraction} * unit / fraction_unit;
  if (result >= UINT64_MAX) return false;
  *bytes = static_cast<uint64_t>(result);
  return true;
}

bool ParseDuration(const char* text, int64_t* ns) {
  uint64_t whole;
  if (!ParseDigits(&text, &whole)) return false;
  constexpr Choice<uint64_t> kUnits[] = {
      {"ns", 1}, {"us", 1'000}, {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}};
  uint64_t unit = 1;
  if (!ParseChoice(text, kUnits, &unit) && (whole != 0 || *text != '\0')) return false;
  uint64_t result;
  if (__builtin_mul_overflow(whole, unit, &result) || result > INT64_MAX) return false;
  *ns = static_cast<int64_t>(result);
  return true;
}

const char* StatsParent() {
  struct stat shm;
  const bool has_shm = stat("/dev/shm", &shm) == 0 && S_ISDIR(shm.st_mode);
  return has_shm ? "/dev/shm" : "/tmp";
}

}  // namespace taskmem
