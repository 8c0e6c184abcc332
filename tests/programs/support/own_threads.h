// The library's own threads, as a program sees them.
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_OWN_THREADS_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_OWN_THREADS_H_

#include <dirent.h>

#include "shim/taskmem.h"
#include "tests/programs/support/check.h"

inline bool IsPreloaded() {
  taskmem_usage usage;
  return taskmem_task_usage(TASKMEM_CURRENT_TASK, &usage) != ENOSYS;
}

// How many threads of this process have that name; with "" all of them.
inline int CountThreads(const char* name) {
  DIR* directory = opendir("/proc/self/task");
  REQUIRE(directory != nullptr);
  int count = 0;
  while (const dirent* entry = readdir(directory)) {
    char path[300];
    char comm[32] = "";
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
    FILE* file = fopen(path, "r");
    if (file == nullptr) continue;  // it has ended
    if (fgets(comm, sizeof(comm), file) != nullptr) {
      comm[strcspn(comm, "\n")] = '\0';
      if (name[0] == '\0' || strcmp(comm, name) == 0) ++count;
    }
    fclose(file);
  }
  closedir(directory);
  return count;
}

inline void AwaitThreads(const char* name, int least, int most) {
  constexpr int kMostLooks = 60'000;
  for (int i = 0;; ++i) {
    const int count = CountThreads(name);
    if (count >= least && count <= most) return;
    REQUIRE_COMPARE(i, <, kMostLooks);
    usleep(1000);
  }
}

#endif  // TASKMEM_TESTS_PROGRAMS_SUPPORT_OWN_THREADS_H_
