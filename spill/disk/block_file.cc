#include "spill/disk/block_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "spill/disk/checksum.h"

namespace taskmem {
namespace {

struct Footer {
  char magic[8];
  uint32_t version;
  uint32_t codec;  // its number
  uint64_t id_bytes;
  uint64_t data_bytes;
  uint64_t checksum;  // of the data, the id, and this with checksum 0
};

constexpr char kMagic[8] = {'t', 'm', 'b', 'l', 'o', 'c', 'k', '\n'};
constexpr uint32_t kVersion = 1;

// Large enough that a system call costs nothing beside it, and small enough that what was
// checksummed is still in the cache when it is copied.
constexpr int64_t kPieceBytes = int64_t{256} << 10;
constexpr int64_t kWriteBytes = int64_t{1} << 20;

// Before each frame: how many bytes of it follow.
using FrameLength = uint32_t;
constexpr FrameLength kStoredAsIs = FrameLength{1} << 31;  // or'ed to it
static_assert(BlockCodec::kFrameBytes < kStoredAsIs);

// The footer of a block whose data is in `checksum`.
Footer FooterOf(std::string_view id, int64_t size, const BlockCodec* codec, Checksum& checksum) {
  Footer footer = {};
  memcpy(footer.magic, kMagic, sizeof(footer.magic));
  footer.version = kVersion;
  footer.codec = codec == nullptr ? 0 : codec->number();
  footer.id_bytes = id.size();
  footer.data_bytes = static_cast<uint64_t>(size);
  checksum.Add(id.data(), id.size());
  checksum.Add(&footer, sizeof(footer));
  footer.checksum = checksum.Value();
  return footer;
}

DiskError Lost(const char* detail, int os_error = 0) {
  return {DiskErrorCode::kLost, os_error, detail};
}

// Writes pieces that stay where they are until Flush, several with one system call.
class PieceWriter {
 public:
  PieceWriter(FileOps& ops, int fd) : ops_(ops), fd_(fd) {}

  DiskError Add(const void* bytes, size_t count) {
    if (count == 0) return {};
    pieces_[count_++] = {const_cast<void*>(bytes), count};
    waiting_bytes_ += static_cast<int64_t>(count);
    return count_ == kMaxPieces || waiting_bytes_ >= kWriteBytes ? Flush() : DiskError();
  }

  DiskError Flush() {
    iovec* next = pieces_;
    int left = count_;
    count_ = 0;
    waiting_bytes_ = 0;
    while (left > 0) {
      const ssize_t answer = ops_.Write(fd_, next, left);
      if (answer == -EINTR) continue;
      if (answer < 0) return DiskErrorFrom(static_cast<int>(-answer), kDetail);
      if (answer == 0) return DiskErrorFrom(EIO, kDetail);
      written_ += answer;
      size_t done = static_cast<size_t>(answer);
      for (; left > 0 && done >= next->iov_len; ++next, --left) done -= next->iov_len;
      if (left > 0) *next = {static_cast<char*>(next->iov_base) + done, next->iov_len - done};
    }
    return {};
  }

  int64_t written() const { return written_; }

 private:
  static constexpr int kMaxPieces = 64;
  static constexpr char kDetail[] = "write the block";

  FileOps& ops_;
  const int fd_;
  iovec pieces_[kMaxPieces];
  int count_ = 0;
  int64_t waiting_bytes_ = 0;
  int64_t written_ = 0;
};

DiskError WriteAsIs(PieceWriter& writer, BlockBytes& bytes, int64_t size, Checksum& checksum) {
  int64_t left = size;
  ByteSpan span;
  while (left >= 0 && bytes.Next(&span)) {
    left -= span.size;
    if (left < 0) break;
    while (span.size > 0) {
      const int64_t count = std::min(span.size, kPieceBytes);
      checksum.Add(span.bytes, static_cast<size_t>(count));
      const DiskError error = writer.Add(span.bytes, static_cast<size_t>(count));
      if (error) return error;
      span.bytes += count;
      span.size -= count;
    }
  }
  if (left != 0) return {DiskErrorCode::kInvalidArgument, 0, "the bytes have another size"};
  return {};
}

// The bytes of a block in frames.
class Frames {
 public:
  // `room` of kFrameBytes is for frames that lie in several pieces.
  Frames(BlockBytes& bytes, char* room) : bytes_(bytes), room_(room) {}

  // The next `count` bytes; nullptr: there are not so many.
  const char* Next(size_t count) {
    if (piece_.size == 0 && !NextPiece()) return nullptr;
    if (static_cast<size_t>(piece_.size) >= count) return Take(count);
    for (size_t copied = 0; copied < count;) {
      if (piece_.size == 0 && !NextPiece()) return nullptr;
      const size_t part = std::min(count - copied, static_cast<size_t>(piece_.size));
      memcpy(room_ + copied, Take(part), part);
      copied += part;
    }
    return room_;
  }

  bool IsAtEnd() { return piece_.size == 0 && !NextPiece(); }

 private:
  bool NextPiece() {
    do {
      if (!bytes_.Next(&piece_)) {
        piece_ = {};
        return false;
      }
    } while (piece_.size == 0);
    return true;
  }

  const char* Take(size_t count) {
    const char* const taken = piece_.bytes;
    piece_.bytes += count;
    piece_.size -= static_cast<int64_t>(count);
    return taken;
  }

  BlockBytes& bytes_;
  char* const room_;
  ByteSpan piece_;
};

DiskError WriteFrames(PieceWriter& writer, BlockBytes& bytes, int64_t size,
                      const BlockFileCodec& codec, Checksum& checksum) {
  constexpr size_t kFrame = BlockCodec::kFrameBytes;
  char* const compressed = codec.scratch + kFrame;
  void* const state = compressed + kFrame;
  Frames frames(bytes, codec.scratch);
  for (int64_t left = size; left > 0;) {
    const size_t count = static_cast<size_t>(std::min<int64_t>(left, kFrame));
    const char* const data = frames.Next(count);
    if (data == nullptr) {
      return {DiskErrorCode::kInvalidArgument, 0, "the bytes have another size"};
    }
    checksum.Add(data, count);
    // What gets hardly smaller is not worth the work of reading it.
    const size_t stored = codec.codec->Compress(data, count, compressed, count - count / 8, state);
    const FrameLength length = static_cast<FrameLength>(stored > 0 ? stored : count | kStoredAsIs);
    DiskError error = writer.Add(&length, sizeof(length));
    if (!error) error = stored > 0 ? writer.Add(compressed, stored) : writer.Add(data, count);
    if (!error) error = writer.Flush();
    if (error) return error;
    left -= static_cast<int64_t>(count);
  }
  if (!frames.IsAtEnd()) {
    return {DiskErrorCode::kInvalidArgument, 0, "the bytes have another size"};
  }
  return {};
}

// Reads a file from its start, never beyond what it should have.
class PieceReader {
 public:
  PieceReader(FileOps& ops, int fd, int64_t bytes) : ops_(ops), fd_(fd), left_(bytes) {}

  DiskError Read(void* memory, size_t count) {
    if (static_cast<int64_t>(count) > left_) return Lost("its file is cut");
    left_ -= static_cast<int64_t>(count);
    char* to = static_cast<char*>(memory);
    while (count > 0) {
      const ssize_t answer = ops_.Read(fd_, to, count);
      if (answer == -EINTR) continue;
      if (answer < 0) return Lost("its file cannot be read", static_cast<int>(-answer));
      if (answer == 0) return Lost("its file is cut");
      to += answer;
      count -= static_cast<size_t>(answer);
    }
    return {};
  }

  int64_t left() const { return left_; }

 private:
  FileOps& ops_;
  const int fd_;
  int64_t left_;
};

DiskError ReadId(PieceReader& reader, std::string_view id) {
  char part[256];
  for (size_t at = 0; at < id.size();) {
    const size_t count = std::min(id.size() - at, sizeof(part));
    if (const DiskError error = reader.Read(part, count)) return error;
    if (memcmp(part, id.data() + at, count) != 0) return Lost("its file is of another block");
    at += count;
  }
  return {};
}

DiskError ReadAsIs(PieceReader& reader, char* memory, int64_t size, Checksum& checksum) {
  for (int64_t at = 0; at < size;) {
    const size_t count = static_cast<size_t>(std::min(size - at, kPieceBytes));
    if (const DiskError error = reader.Read(memory + at, count)) return error;
    checksum.Add(memory + at, count);
    at += static_cast<int64_t>(count);
  }
  return {};
}

DiskError ReadFrames(PieceReader& reader, char* memory, int64_t size, const BlockFileCodec& codec,
                     Checksum& checksum) {
  constexpr size_t kFrame = BlockCodec::kFrameBytes;
  for (int64_t at = 0; at < size;) {
    const size_t count = static_cast<size_t>(std::min<int64_t>(size - at, kFrame));
    FrameLength length;
    if (const DiskError error = reader.Read(&length, sizeof(length))) return error;
    const size_t stored = length & ~kStoredAsIs;
    if ((length & kStoredAsIs) != 0) {
      if (stored != count) return Lost("its file is corrupted");
      if (const DiskError error = reader.Read(memory + at, count)) return error;
    } else {
      if (stored == 0 || stored > kFrame) return Lost("its file is corrupted");
      if (const DiskError error = reader.Read(codec.scratch, stored)) return error;
      if (!codec.codec->Decompress(codec.scratch, stored, memory + at, count)) {
        return Lost("its file is corrupted");
      }
    }
    checksum.Add(memory + at, count);
    at += static_cast<int64_t>(count);
  }
  return {};
}

}  // namespace

size_t BlockFileCodec::ScratchBytes(const BlockCodec& codec) {
  return 2 * BlockCodec::kFrameBytes + codec.ScratchBytes();
}

int64_t BlockFileBytes(std::string_view id, int64_t size) {
  const auto behind = static_cast<int64_t>(id.size() + sizeof(Footer));
  return size > INT64_MAX - behind ? INT64_MAX : size + behind;
}

DiskError WriteBlockFile(FileOps& ops, int fd, std::string_view id, int64_t size, BlockBytes& bytes,
                         const BlockFileCodec& codec, int64_t* file_bytes) {
  Checksum checksum;
  PieceWriter writer(ops, fd);
  DiskError error = codec.codec == nullptr ? WriteAsIs(writer, bytes, size, checksum)
                                           : WriteFrames(writer, bytes, size, codec, checksum);
  if (error) return error;
  const Footer footer = FooterOf(id, size, codec.codec, checksum);
  error = writer.Add(id.data(), id.size());
  if (!error) error = writer.Add(&footer, sizeof(footer));
  if (!error) error = writer.Flush();
  *file_bytes = writer.written();
  return error;
}

DiskError ReadBlockFile(FileOps& ops, int fd, std::string_view id, char* memory, int64_t size,
                        int64_t file_bytes, const BlockFileCodec& codec) {
  struct stat status;
  const int answer = ops.Stat(fd, &status);
  if (answer < 0) return Lost("its file cannot be read", -answer);
  if (!S_ISREG(status.st_mode)) return Lost("its file is none");
  if (status.st_size != file_bytes) return Lost("its file has another length");

  PieceReader reader(ops, fd, file_bytes);
  Checksum checksum;
  DiskError error = codec.codec == nullptr ? ReadAsIs(reader, memory, size, checksum)
                                           : ReadFrames(reader, memory, size, codec, checksum);
  if (!error) error = ReadId(reader, id);
  Footer footer;
  if (!error) error = reader.Read(&footer, sizeof(footer));
  if (error) return error;
  if (reader.left() != 0) return Lost("its file is too long");
  const Footer expected = FooterOf(id, size, codec.codec, checksum);
  if (memcmp(&footer, &expected, sizeof(footer)) != 0) return Lost("its checksum is wrong");
  return {};
}

}  // namespace taskmem
