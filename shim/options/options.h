// taskmem's options. One table (options.cc) gives each its name, its variable,
// its default and its sentence; the library, the command, the manual and the
// complaints about bad values all come from it.
//
// Used inside the preload library: no allocation, no C++ runtime.
#ifndef TASKMEM_SHIM_OPTIONS_OPTIONS_H_
#define TASKMEM_SHIM_OPTIONS_OPTIONS_H_

#include <cstddef>
#include <cstdint>

#include "accounting/base/memory_log.h"
#include "accounting/memory/compatibility.h"
#include "spill/reclaim/limit_policy.h"

namespace taskmem {

enum class TaskBy : uint8_t { kProcess, kThread, kThreadName, kNone };
enum class Inherit : uint8_t { kUntilEnd, kAlways, kNever };
enum class Overflow : uint8_t { kWhereSpillDir, kOn, kOff };
enum class AtThrashing : uint8_t { kContinue, kRefuse, kKill };
enum class Adopt : uint8_t { kAuto, kOff, kRequire };
enum class SpillCodec : uint8_t { kNone, kLz4 };

struct Options {
  TaskBy task_by = TaskBy::kProcess;
  char thread_name_regex[256] = "";  // POSIX extended; only for kThreadName
  bool task_per_rename = false;
  Inherit inherit = Inherit::kUntilEnd;
  uint64_t quota_bytes = UINT64_MAX;
  uint64_t memory_bytes = 0;  // 0: what the container or the machine gives; UINT64_MAX: no limit
  double storage_fraction = 0.5;
  Sharing share = Sharing::kNone;
  AtLimit at_limit = AtLimit::kRefuse;
  bool refuse_min_given = false;  // else the profile's, else the default
  uint64_t refuse_min_bytes = 256 * 1024;
  uint64_t refusal_budget = 1000;
  AtBudget at_budget = AtBudget::kOverdraw;
  // Asked to spill above this many per cent of the quota; 0: at the quota only.
  uint32_t soft_limit_percent = 0;
  int64_t spill_timeout_ns = 1'000'000'000;
  int64_t wait_ns = 0;  // for memory of the pools
  int64_t residency_interval_ns = 1'000'000'000;
  char plugin[256] = "";
  char spill_dir[256] = "";  // empty: none is configured
  bool spill_fsync = false;
  SpillCodec spill_compress = SpillCodec::kNone;
  Overflow overflow = Overflow::kWhereSpillDir;
  uint64_t overflow_size_bytes = 0;  // 0: half of what the file system has free
  AtThrashing at_thrashing = AtThrashing::kContinue;
  char log_file[256] = "";  // empty: none
  LogLevel log_level = LogLevel::kInfo;
  char profile[32] = "auto";
  bool redirect_libc = true;
  Adopt adopt = Adopt::kAuto;
  char adopt_names[256] = "";  // only for kRequire: parts of file names, by commas; empty: all
  bool sites = true;
  bool sites_interval_given = false;  // else it grows where samples would cost too much
  uint64_t sites_interval_bytes = 512 * 1024;
  char label[64] = "";
  char stats_dir[256] = "";  // empty: the user's directory in StatsParent()
};

struct OptionInfo {
  const char* name;           // "quota": --quota and TASKMEM_QUOTA
  const char* variable;       // "TASKMEM_QUOTA"
  const char* value_name;     // "BYTES"; nullptr for a flag (given or "1", "0")
  const char* default_value;  // as the user would write it
  const char* sentence;
  // Stores `value`; false where it is not one. `options` is unchanged then.
  bool (*parse)(const char* value, Options* options);
  const char* expected;  // completes "expected ..." in the complaint
  const char* group;     // the heading of `run --help` it stands under
};

// The table, in the order in which help prints it. Options of a group follow each other.
extern const OptionInfo kOptions[];
extern const size_t kOptionCount;

// Reads every TASKMEM_* variable of the table; none in a privileged process (environment.h). On a
// bad value writes one line without a newline into `error` and returns false.
bool ParseOptionsFromEnvironment(Options* options, char* error, size_t error_bytes);

// "64K", "256MiB", "1.5G", "4096", "none" (UINT64_MAX). False where it is none.
bool ParseBytes(const char* text, uint64_t* bytes);

// "1s", "250ms", "20us", "2m", "0". False where it is none.
bool ParseDuration(const char* text, int64_t* ns);

// Where the user's directory (user_directory.h) is in which blocks and overflow go when --overflow
// is given without --spill-dir.
inline constexpr char kSpillParent[] = "/var/tmp";

// Where the user's directory of stats files is: /dev/shm, or /tmp where there is none.
const char* StatsParent();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OPTIONS_OPTIONS_H_
