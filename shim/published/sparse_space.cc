#include "shim/published/sparse_space.h"

#include <errno.h>
#include <sys/resource.h>

#include "shim/base/os.h"

namespace taskmem {

bool ReserveSpace(char* file, size_t offset, size_t bytes) {
  constexpr long kPopulateWrite = 23;  // MADV_POPULATE_WRITE
  long result;
  do {
    result = os::Call(SYS_madvise, reinterpret_cast<long>(file + offset), static_cast<long>(bytes),
                      kPopulateWrite);
  } while (result == -EINTR || result == -EAGAIN);
  return !os::Failed(result);
}

bool ReserveSpaceIn(long fd, size_t offset, size_t bytes) {
  long result;
  do {
    result = os::Call(SYS_fallocate, fd, 0, static_cast<long>(offset), static_cast<long>(bytes));
  } while (result == -EINTR);
  // A file system without fallocate has no holes to fall into.
  return !os::Failed(result) || result == -EOPNOTSUPP;
}

bool IsWithinFileLimit(size_t bytes) {
  struct rlimit limit = {};
  return os::Failed(os::Call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, reinterpret_cast<long>(&limit))) ||
         bytes <= limit.rlim_cur;
}

}  // namespace taskmem
