// What can be set, with its defaults: one field for each row of the table (option_table.h), which
// says how it is called and written.
#ifndef TASKMEM_SHIM_OPTIONS_OPTIONS_H_
#define TASKMEM_SHIM_OPTIONS_OPTIONS_H_

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
enum class PoolThreads : uint8_t { kSole, kUntracked };
enum class SpillCodec : uint8_t { kNone, kLz4 };

struct Options {
  TaskBy task_by = TaskBy::kProcess;
  char thread_name_regex[256] = "";  // POSIX extended; only for kThreadName
  bool task_per_rename = false;
  Inherit inherit = Inherit::kUntilEnd;
  PoolThreads pool_threads = PoolThreads::kSole;
  uint64_t quota_bytes = UINT64_MAX;
  uint64_t memory_bytes = 0;  // 0: what the container or the machine gives; UINT64_MAX: no limit
  double storage_fraction = 0.5;
  bool share_given = false;  // else as of SharingOf
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

// By which rule tasks share --memory. Without a rule of the user's: where the user set how much
// there is, small tasks are not refused for a large one's sake.
inline Sharing SharingOf(const Options& options) {
  if (options.share_given) return options.share;
  const bool has_size = options.memory_bytes != 0 && options.memory_bytes != UINT64_MAX;
  return has_size ? Sharing::kFair : Sharing::kNone;
}

// Where the user's directory (user_directory.h) is in which blocks and overflow go when --overflow
// is given without --spill-dir.
inline constexpr char kSpillParent[] = "/var/tmp";

// Where the user's directory of stats files is: /dev/shm, or /tmp where there is none.
const char* StatsParent();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OPTIONS_OPTIONS_H_
