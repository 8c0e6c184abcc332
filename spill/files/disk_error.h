// What can go wrong on disk. Errors are values; none ends the program.
#ifndef TASKMEM_SPILL_FILES_DISK_ERROR_H_
#define TASKMEM_SPILL_FILES_DISK_ERROR_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

enum class DiskErrorCode : uint8_t {
  kNone = 0,
  // About the block:
  kNotFound,         // no such block is on disk
  kLost,             // its file is gone, torn, cut, corrupted or another's: detail
  kWrongSize,        // the caller's memory has not the size of the block
  kInvalidArgument,  // detail
  kNoMemory,         // for the store's own books
  // About the disk:
  kNoSpace,        // ENOSPC
  kQuota,          // EDQUOT
  kTooLarge,       // EFBIG: the file system's limit, or RLIMIT_FSIZE
  kReadOnly,       // EROFS
  kNotPermitted,   // EACCES, EPERM: or somebody else owns it (os_error 0)
  kTooManyFiles,   // EMFILE, ENFILE
  kIo,             // EIO
  kVanished,       // ENOENT, ESTALE: the directory, or what it lies in
  kNotADirectory,  // ENOTDIR, ELOOP
  kWrongProcess,   // a child that was made without fork(): it has no directory
  kClosed,         // the directory was removed for good: the process ends
  kOther,          // os_error
};

struct [[nodiscard]] DiskError {
  DiskErrorCode code = DiskErrorCode::kNone;
  int os_error = 0;         // errno; 0: it is not the system's
  const char* detail = "";  // what was being done, or what is wrong: a literal

  explicit operator bool() const { return code != DiskErrorCode::kNone; }
};

// For an errno above 0.
DiskError DiskErrorFrom(int os_error, const char* detail);

// "cannot <detail>: No space left on device", as one line of at most `size` bytes with its
// NUL. Does not allocate.
void Describe(const DiskError& error, char* text, size_t size);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_FILES_DISK_ERROR_H_
