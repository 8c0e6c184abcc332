#include "spill/files/file_parts.h"

#include "accounting/base/kernel_memory.h"

namespace taskmem {
namespace {

constexpr size_t kCopyBytes = size_t{1} << 20;

// Reads or writes all of it. False: an error, or the end of the file.
template <typename Call>
bool Whole(Call call, uint64_t offset, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t moved = call(done, bytes - done, static_cast<off_t>(offset + done));
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return false;
    done += static_cast<size_t>(moved);
  }
  return true;
}

}  // namespace

bool ReadAt(int fd, char* memory, size_t bytes, uint64_t offset) {
  return Whole(
      [=](size_t at, size_t count, off_t place) { return pread(fd, memory + at, count, place); },
      offset, bytes);
}

bool WriteAt(int fd, const char* memory, size_t bytes, uint64_t offset) {
  return Whole(
      [=](size_t at, size_t count, off_t place) { return pwrite(fd, memory + at, count, place); },
      offset, bytes);
}

bool WriteZeroes(int fd, uint64_t offset, size_t bytes) {
  auto* zeroes = static_cast<char*>(MapZeroed(kCopyBytes));
  if (zeroes == nullptr) return false;
  bool done = true;
  for (size_t at = 0; done && at < bytes; at += kCopyBytes) {
    const size_t count = bytes - at < kCopyBytes ? bytes - at : kCopyBytes;
    done = WriteAt(fd, zeroes, count, offset + at);
  }
  const int error = errno;
  Unmap(zeroes, kCopyBytes);
  errno = error;
  return done;
}

namespace {

bool CopyThroughMemory(int from, int to, uint64_t offset, size_t bytes) {
  auto* buffer = static_cast<char*>(MapZeroed(kCopyBytes));
  if (buffer == nullptr) return false;
  bool done = true;
  for (size_t at = 0; done && at < bytes; at += kCopyBytes) {
    const size_t count = bytes - at < kCopyBytes ? bytes - at : kCopyBytes;
    done = ReadAt(from, buffer, count, offset + at) && WriteAt(to, buffer, count, offset + at);
  }
  Unmap(buffer, kCopyBytes);
  return done;
}

}  // namespace

bool CopyData(int from, int to, uint64_t offset, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    loff_t in = static_cast<loff_t>(offset + done);
    loff_t out = in;
    const ssize_t copied = copy_file_range(from, &in, to, &out, bytes - done, 0);
    if (copied < 0 && errno == EINTR) continue;
    if (copied <= 0) return CopyThroughMemory(from, to, offset + done, bytes - done);
    done += static_cast<size_t>(copied);
  }
  return true;
}

}  // namespace taskmem
