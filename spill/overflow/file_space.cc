#include "spill/overflow/file_space.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/resource.h>

#include <cerrno>

#include "spill/files/file_parts.h"

namespace taskmem {
namespace {

// At least this much of the file system is left to others.
uint64_t KeptFree(const struct statfs& system) {
  const uint64_t part = system.f_blocks * static_cast<uint64_t>(system.f_bsize) / 64;
  constexpr uint64_t kMost = uint64_t{1} << 30;
  return part < kMost ? part : kMost;
}

// Whether a file may be that large: to try it would be a SIGXFSZ.
bool IsWithinFileLimit(uint64_t bytes) {
  struct rlimit limit = {};
  return getrlimit(RLIMIT_FSIZE, &limit) != 0 || bytes <= limit.rlim_cur;
}

}  // namespace

OverflowStatus GiveSpace(int fd, uint64_t offset, size_t bytes) {
  if (!IsWithinFileLimit(offset + bytes)) return OverflowStatus::kFileLimit;
  struct statfs system = {};
  if (fstatfs(fd, &system) == 0) {
    const uint64_t free = FreeBytes(system);
    if (bytes > free || free - bytes < KeptFree(system)) return OverflowStatus::kNoSpace;
  }
  int result;
  do {
    result = fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result != 0 && (errno == EOPNOTSUPP || errno == ENOSYS) && WriteZeroes(fd, offset, bytes)) {
    result = 0;
  }
  if (result == 0) return OverflowStatus::kOk;
  const int error = errno;
  // What was given before the disk was full.
  TakeSpaceBack(fd, offset, bytes);
  return error == ENOSPC || error == EDQUOT ? OverflowStatus::kNoSpace
         : error == EFBIG                   ? OverflowStatus::kFileLimit
                                            : OverflowStatus::kFailed;
}

void TakeSpaceBack(int fd, uint64_t offset, size_t bytes) {
  fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
            static_cast<off_t>(bytes));
}

}  // namespace taskmem
