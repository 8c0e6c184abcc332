// Parts of files, at an offset: read, written and copied whole, without what was never written.
//
// No locks; errno says what went wrong. At most 1 MiB of memory is mapped meanwhile.
#ifndef TASKMEM_SPILL_FILES_FILE_PARTS_H_
#define TASKMEM_SPILL_FILES_FILE_PARTS_H_

#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace taskmem {

// Reads or writes all of it. False: an error, or the end of the file.
bool ReadAt(int fd, char* memory, size_t bytes, uint64_t offset);
bool WriteAt(int fd, const char* memory, size_t bytes, uint64_t offset);

// For file systems that cannot give space without writing to it.
bool WriteZeroes(int fd, uint64_t offset, size_t bytes);

// To the same offset of another file; within the file system where that can.
bool CopyData(int from, int to, uint64_t offset, size_t bytes);

// Calls visit(offset, bytes) -> bool for what was ever written of the range. A file system
// that does not know says: all of it.
template <typename Visit>
bool ForEachData(int fd, uint64_t offset, size_t bytes, Visit visit) {
  const uint64_t end = offset + bytes;
  while (offset < end) {
    const off_t data = lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return true;  // nothing but holes behind it
    if (data < 0) return visit(offset, end - offset);
    if (static_cast<uint64_t>(data) >= end) return true;
    const off_t hole = lseek(fd, data, SEEK_HOLE);
    const uint64_t stop =
        hole > data && static_cast<uint64_t>(hole) < end ? static_cast<uint64_t>(hole) : end;
    if (!visit(static_cast<uint64_t>(data), stop - static_cast<uint64_t>(data))) return false;
    offset = stop;
  }
  return true;
}

}  // namespace taskmem

#endif  // TASKMEM_SPILL_FILES_FILE_PARTS_H_
