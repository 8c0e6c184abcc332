// Files that a process is asked to leave at its end: TASKMEM_STATS and TASKMEM_AUDIT.
#ifndef TASKMEM_SHIM_OPTIONS_EXIT_PATHS_H_
#define TASKMEM_SHIM_OPTIONS_EXIT_PATHS_H_

#include <cstddef>

namespace taskmem {

inline constexpr char kExitStatsVariable[] = "TASKMEM_STATS";
inline constexpr char kExitAuditFileVariable[] = "TASKMEM_AUDIT";
inline constexpr char kExitPathExpected[] =
    "a path of less than 256 bytes, in which %p is the process id, %l its label and %% a %";

// Stores `pattern`, from where the process stands if it is relative. False: it is none.
bool ParseExitPath(const char* pattern, char* path, size_t path_bytes);

// The path for a process. Without a label %l is the program's name; what would be another folder
// is "_". False: it does not fit.
bool ExpandExitPath(const char* pattern, unsigned pid, const char* label, const char* program,
                    char* path, size_t path_bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OPTIONS_EXIT_PATHS_H_
