#include "shim/options/option_table.h"

#include <cstdio>

#include "shim/base/environment.h"
#include "shim/options/option_values.h"

namespace taskmem {
namespace {

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
    {"pool-threads", "TASKMEM_POOL_THREADS", "HOW", "sole",
     "A thread of an engine's pool works for the task that is active when exactly one is, and what "
     "it allocates while several are is of none of them; or for no task.",
     ParsePoolThreads, "sole or untracked", kTasks},
    {"quota", "TASKMEM_QUOTA", "BYTES", "none", "What each task may hold.", ParseQuota,
     "a size above 0 such as 64M or 1.5GiB, or none", kQuotas},
    {"memory", "TASKMEM_MEMORY", "BYTES", "container",
     "What all tasks of a process may hold together; by default what its container, or the "
     "machine, has, less a reserve.",
     ParseMemory, "a size above 0 such as 512M or 16GiB, container or none", kQuotas},
    {"storage-fraction", "TASKMEM_STORAGE_FRACTION", "FRACTION", "0.5",
     "The part of --memory that cached blocks keep against tasks.", ParseStorageFraction,
     "a number of at least 0 and less than 1", kQuotas},
    {"share", "TASKMEM_SHARE", "RULE", "auto",
     "How tasks share --memory: none, first come first served; fair, each may have all that is "
     "free but what the others of N active tasks lack of 1/2N; spark, each gets 1/N at most; auto, "
     "fair where --memory is a size, else none.",
     ParseShare, "auto, none, fair or spark", kQuotas},
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
     "that takes longer.",
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
     "Where processes keep their books; by default a folder of the user in /dev/shm.",
     ParseStatsDir, "a path of less than 256 bytes", kOutput},
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

}  // namespace taskmem
