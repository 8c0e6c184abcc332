// Which stats file a living process has: the one it maps. The one that is named after it may be of
// what it executed before: an exec of a static program, or into another root or mount name space,
// leaves it behind.
#ifndef TASKMEM_TOOLS_STATS_MAPPED_BOOKS_H_
#define TASKMEM_TOOLS_STATS_MAPPED_BOOKS_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <string>

namespace taskmem {

enum class MappedBooks {
  kThese,    // the file that was expected
  kOthers,   // another one
  kNone,     // none: what runs there is not under taskmem
  kUnknown,  // it has ended, or is not ours to look at
};

struct FoundBooks {
  MappedBooks which = MappedBooks::kUnknown;
  // kOthers: a descriptor, the caller's to close (-1: it cannot be reached), and the path as the
  // kernel shows it where it is mapped.
  int fd = -1;
  std::string path;
};

// `expected`: the status of the stats file `expected_path`. Null: none is expected.
FoundBooks FindMappedBooks(pid_t pid, const struct stat* expected,
                           const std::string& expected_path);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_MAPPED_BOOKS_H_
