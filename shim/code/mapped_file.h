// A file in memory, read by system calls alone.
#ifndef TASKMEM_SHIM_CODE_MAPPED_FILE_H_
#define TASKMEM_SHIM_CODE_MAPPED_FILE_H_

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>

#include "shim/base/os.h"

namespace taskmem {

// The whole of a file of at least `least_bytes`, read-only; unmapped at the end. Empty where it
// cannot be read.
class MappedFile {
 public:
  explicit MappedFile(const char* path, size_t least_bytes = 1) {
    if (os::IsSealed()) return;
    const long fd =
        os::Call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), O_RDONLY | O_CLOEXEC);
    if (os::Failed(fd)) return;
    struct stat status = {};
    if (os::Call(SYS_newfstatat, fd, reinterpret_cast<long>(""), reinterpret_cast<long>(&status),
                 AT_EMPTY_PATH) == 0 &&
        S_ISREG(status.st_mode) && status.st_size >= static_cast<off_t>(least_bytes)) {
      const long start = os::Call(SYS_mmap, 0, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
      if (!os::Failed(start)) {
        start_ = reinterpret_cast<const char*>(start);
        bytes_ = static_cast<size_t>(status.st_size);
      }
    }
    os::Call(SYS_close, fd);
  }
  ~MappedFile() {
    if (start_ != nullptr) os::Unmap(const_cast<char*>(start_), bytes_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  // `count` objects at `offset`, or nullptr where the file ends before, or they are not aligned.
  template <typename T>
  const T* At(uint64_t offset, uint64_t count) const {
    if (offset > bytes_ || offset % alignof(T) != 0 || count > (bytes_ - offset) / sizeof(T))
      return nullptr;
    return reinterpret_cast<const T*>(start_ + offset);
  }

 private:
  const char* start_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CODE_MAPPED_FILE_H_
