#include "tools/recording/frame_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tools/recording/file_head.h"

namespace taskmem {
namespace {

// A frame of so many bytes, packed as badly as can be.
constexpr size_t kMostPackedBytes = kMostFrameBytes + kMostFrameBytes / 8;

// Gives the bytes of a file from some place on.
class Source {
 public:
  virtual ~Source() = default;
  // At most `bytes`; fewer at the end. Empty and errno where it cannot be read.
  virtual std::string_view At(uint64_t offset, size_t bytes) = 0;
};

class MemorySource final : public Source {
 public:
  explicit MemorySource(std::string_view file) : file_(file) {}
  std::string_view At(uint64_t offset, size_t bytes) override {
    return offset < file_.size() ? file_.substr(offset, bytes) : std::string_view();
  }

 private:
  const std::string_view file_;
};

// Read, not mapped: it may be cut meanwhile.
class FileSource final : public Source {
 public:
  explicit FileSource(int fd) : fd_(fd) {}
  ~FileSource() override { close(fd_); }
  std::string_view At(uint64_t offset, size_t bytes) override {
    if (offset < start_ || offset + bytes > start_ + buffer_.size()) Fill(offset, bytes);
    if (offset - start_ >= buffer_.size()) return {};
    return std::string_view(buffer_).substr(offset - start_, bytes);
  }

 private:
  void Fill(uint64_t offset, size_t bytes) {
    start_ = offset;
    buffer_.resize(bytes);
    size_t done = 0;
    while (done < bytes) {
      const ssize_t got =
          pread(fd_, buffer_.data() + done, bytes - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      done += static_cast<size_t>(got);
    }
    buffer_.resize(done);
  }

  const int fd_;
  uint64_t start_ = 0;
  std::string buffer_;
};

std::string HeadError(std::string_view head) {
  const std::string_view frame(kHeadFrame, kHeadFrameBytes);
  const std::string_view text(kHeadText);
  if (!head.starts_with(frame) || !head.substr(kHeadFrameBytes).starts_with(text)) {
    return "it is no recording of taskmem";
  }
  const std::string version = std::to_string(kRecordingVersion) + "\n";
  if (!head.substr(kHeadFrameBytes + text.size()).starts_with(version)) {
    return fmt::format("this version of taskmem reads recordings of version {} only",
                       kRecordingVersion);
  }
  return head.size() < kFileHeadBytes ? "it is cut before its first record" : "";
}

// False: the visitor wants no more. `is_whole`: every record was.
bool VisitRecords(std::string_view frame, const RecordVisitor& visit, bool* is_whole) {
  PackedReader reader(frame);
  while (reader.ok() && !reader.IsAtEnd()) {
    const uint64_t type = reader.Number();
    const std::string_view payload = reader.Text();
    if (!reader.ok()) break;
    if (type <= UINT32_MAX && !visit(static_cast<RecordType>(type), PackedReader(payload))) {
      return false;
    }
  }
  *is_whole = reader.ok();
  return true;
}

ReadResult ReadFrames(Source* source, const RecordVisitor& visit) {
  ReadResult result;
  result.error = HeadError(source->At(0, kFileHeadBytes));
  if (!result.error.empty()) return result;
  std::string frame;
  uint64_t offset = kFileHeadBytes;
  constexpr size_t kStep = 1 << 20;
  for (;;) {
    std::string_view packed = source->At(offset, kStep);
    if (packed.empty()) return result;
    size_t bytes = ZSTD_findFrameCompressedSize(packed.data(), packed.size());
    if (ZSTD_isError(bytes) != 0 && packed.size() == kStep) {
      packed = source->At(offset, kMostPackedBytes);
      bytes = ZSTD_findFrameCompressedSize(packed.data(), packed.size());
    }
    const uint64_t unpacked = ZSTD_isError(bytes) != 0
                                  ? ZSTD_CONTENTSIZE_ERROR
                                  : ZSTD_getFrameContentSize(packed.data(), packed.size());
    if (unpacked > kMostFrameBytes) {
      // Also where that says that it is not known, which no writer of ours leaves open.
      result.damage = fmt::format("it is cut or damaged at byte {}", offset);
      return result;
    }
    frame.resize(unpacked);
    const size_t got = ZSTD_decompress(frame.data(), frame.size(), packed.data(), bytes);
    if (ZSTD_isError(got) != 0 || got != unpacked) {
      result.damage = fmt::format("it is damaged at byte {}", offset);
      return result;
    }
    bool is_whole = true;
    if (!VisitRecords(frame, visit, &is_whole)) return result;
    if (!is_whole) {
      result.damage = fmt::format("it is damaged at byte {}", offset);
      return result;
    }
    offset += bytes;
  }
}

}  // namespace

ReadResult ReadRecordsOf(std::string_view file, const RecordVisitor& visit) {
  MemorySource source(file);
  return ReadFrames(&source, visit);
}

ReadResult ReadRecords(const std::string& path, const RecordVisitor& visit) {
  ReadResult result;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    result.error = strerror(errno);
    return result;
  }
  FileSource source(fd);
  struct stat status;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    result.error = "it is no regular file";
    return result;
  }
  return ReadFrames(&source, visit);
}

}  // namespace taskmem
