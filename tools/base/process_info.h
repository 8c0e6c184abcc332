// What /proc says about a process.
#ifndef TASKMEM_TOOLS_BASE_PROCESS_INFO_H_
#define TASKMEM_TOOLS_BASE_PROCESS_INFO_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

namespace taskmem {

// The functions that read need no memory and do not throw: a process may end while it is read.

// When the process started, in clock ticks since boot, which tells a reused pid
// apart; nothing where there is no such process. One that has ended counts
// until it is reaped.
std::optional<uint64_t> StartTime(pid_t pid);

// Whether the process that started then still runs: one that only waits to be
// reaped does not. Where there is no /proc, whether any process has the number:
// nobody's books shall be taken for a dead one's.
bool IsAlive(pid_t pid, uint64_t start_time);

// Whether it is stopped by a signal; also where that cannot be known.
bool IsStopped(pid_t pid);

// The user with whose rights it acts; nothing where there is no such process.
std::optional<uid_t> EffectiveUser(pid_t pid);

struct ResidentBytes {
  uint64_t now = 0;
  uint64_t peak = 0;
};
// Zeros where there is no such process.
ResidentBytes ReadResidentBytes(pid_t pid);

// Of /proc/PID/stat; nothing where it is not whole.
struct ProcessStat {
  char state = 'X';
  uint64_t start_time = 0;
};
std::optional<ProcessStat> ParseStat(std::string_view text);

// Takes what a line of /proc/PID/status says of resident memory.
void ParseStatusLine(std::string_view line, ResidentBytes* resident);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_BASE_PROCESS_INFO_H_
