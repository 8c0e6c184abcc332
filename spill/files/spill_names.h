// What files and directories of the spill directory are called. Nothing of another name is
// ever removed.
#ifndef TASKMEM_SPILL_FILES_SPILL_NAMES_H_
#define TASKMEM_SPILL_FILES_SPILL_NAMES_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace taskmem {

// taskmem-<pid>-<start time>[-<n>]: the directory of a process. The start time is field 22 of
// /proc/<pid>/stat. <n> is there where somebody else has the name without it.
struct SpillDirName {
  pid_t pid = 0;
  uint64_t start_time = 0;
  uint32_t suffix = 0;  // 0: none
};

// The names below with their NUL.
inline constexpr size_t kMaxSpillNameBytes = 64;

inline constexpr char kSpillLockName[] = "lock";

void WriteSpillDirName(const SpillDirName& name, char (&text)[kMaxSpillNameBytes]);
// False: it is not exactly what WriteSpillDirName writes.
bool ParseSpillDirName(std::string_view text, SpillDirName* name);

// block-<hash, 16 digits>-<number>, and with ".new" at the end while it is being written.
void WriteBlockFileName(uint64_t hash, uint64_t number, bool is_new,
                        char (&text)[kMaxSpillNameBytes]);
// unlinked-<number>: has it only until it is unlinked.
void WriteUnlinkedFileName(uint32_t number, char (&text)[kMaxSpillNameBytes]);

// Exactly what one of the two writes; the lock is none.
bool IsSpillFileName(std::string_view text);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_FILES_SPILL_NAMES_H_
