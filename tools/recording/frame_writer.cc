#include "tools/recording/frame_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>

#include "tools/recording/file_head.h"

namespace taskmem {
namespace {

constexpr int kLevel = 5;
constexpr size_t kFrameFull = 256 * 1024;

// Whether it is a regular file that nobody else records into: locked for this descriptor. 0 or an
// errno.
int Claim(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) return errno;
  if (!S_ISREG(status.st_mode)) return EINVAL;
  // A file system without locks has no other recorder that could be known of.
  return flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK ? EBUSY : 0;
}

// A descriptor, or -errno. Not of what would keep a writer waiting.
int OpenRecording(const std::string& path, bool truncates) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
  if (fd < 0) return errno == ENXIO ? -EINVAL : -errno;
  int error = Claim(fd);
  if (error == 0 && truncates && ftruncate(fd, 0) != 0) error = errno;
  if (error == 0) return fd;
  close(fd);
  return -error;
}

std::string ErrorText(int error) {
  return error == EINVAL ? "it is no regular file" : strerror(error);
}

}  // namespace

std::string WhyNotRecorded(const std::string& path) {
  struct stat before;
  const bool is_new = stat(path.c_str(), &before) != 0;
  const int fd = OpenRecording(path, false);
  if (fd < 0) return ErrorText(-fd);
  close(fd);
  if (is_new) unlink(path.c_str());
  return "";
}

FrameWriter::FrameWriter(const std::string& path) : fd_(OpenRecording(path, true)) {
  if (fd_ < 0) {
    error_ = ErrorText(-fd_);
    return;
  }
  Write(FileHead());
}

FrameWriter::~FrameWriter() {
  Flush();
  if (fd_ >= 0) close(fd_);
}

void FrameWriter::Add(RecordType type, const PackedWriter& payload) {
  PackedWriter head;
  head.Number(static_cast<uint32_t>(type)).Number(payload.bytes().size());
  const size_t bytes = head.bytes().size() + payload.bytes().size();
  if (frame_.size() + bytes > kFrameFull) Flush();
  frame_ += head.bytes();
  frame_ += payload.bytes();
  record_bytes_ += bytes;
}

void FrameWriter::Flush() {
  if (frame_.empty() || !error_.empty()) return;
  std::string packed(ZSTD_compressBound(frame_.size()), '\0');
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  if (context == nullptr) {
    error_ = "out of memory";
    return;
  }
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  const size_t bytes =
      ZSTD_compress2(context, packed.data(), packed.size(), frame_.data(), frame_.size());
  ZSTD_freeCCtx(context);
  frame_.clear();
  if (ZSTD_isError(bytes) != 0) {
    error_ = ZSTD_getErrorName(bytes);
    return;
  }
  packed.resize(bytes);
  Write(packed);
}

void FrameWriter::Write(const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t written = write(fd_, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      error_ = strerror(errno);
      return;
    }
    done += static_cast<size_t>(written);
  }
  packed_bytes_ += bytes.size();
}

}  // namespace taskmem
