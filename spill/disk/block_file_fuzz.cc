// Files of blocks that are damaged anywhere.
//
// An input is a Head, and the file. Where it is read without an error it must be what was put.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "spill/disk/block_file.h"
#include "tests/support/fuzz_driver.h"

namespace taskmem {
namespace {

constexpr char kId[] = "rdd_3_7";
constexpr int64_t kMostBytes = int64_t{1} << 20;

struct Head {
  uint32_t is_compressed;
  uint32_t data_bytes;
};

// One file, in memory. Every third piece is read by halves, and every fifth not at first.
class FileInMemory final : public FileOps {
 public:
  explicit FileInMemory(std::string_view text) : text_(text) {}

  ssize_t Write(int, const iovec* pieces, int count) override {
    ssize_t written = 0;
    for (int i = 0; i < count; ++i) {
      written_.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
      written += static_cast<ssize_t>(pieces[i].iov_len);
    }
    return written;
  }

  ssize_t Read(int, void* memory, size_t bytes) override {
    ++reads_;
    if (reads_ % 5 == 0) return -EINTR;
    if (reads_ % 3 == 0) bytes = (bytes + 1) / 2;
    bytes = std::min(bytes, text_.size());
    memcpy(memory, text_.data(), bytes);
    text_.remove_prefix(bytes);
    return static_cast<ssize_t>(bytes);
  }

  int Stat(int, struct stat* status) override {
    *status = {};
    status->st_mode = S_IFREG | 0600;
    status->st_size = static_cast<off_t>(text_.size());
    return 0;
  }

  const std::string& written() const { return written_; }

 private:
  std::string_view text_;
  std::string written_;
  uint64_t reads_ = 0;
};

const BlockCodec* Lz4() {
  char why[200];
  static const BlockCodec* const codec = OpenLz4(why, sizeof(why));
  return codec;
}

BlockFileCodec CodecOf(bool is_compressed) {
  if (!is_compressed || Lz4() == nullptr) return {};
  static void* const scratch =
      aligned_alloc(64, (BlockFileCodec::ScratchBytes(*Lz4()) + 63) & ~63ul);
  return {Lz4(), static_cast<char*>(scratch)};
}

std::vector<std::string> DataOfSeeds() {
  std::string words;
  while (words.size() < 3000) words += "word " + std::to_string(words.size() % 97);
  std::string noise;
  for (uint32_t i = 1; noise.size() < 2000; i = i * 1664525 + 1013904223) {
    noise += static_cast<char>(i >> 24);
  }
  // More than a frame, the last of which gets no smaller.
  const std::string frames = std::string(BlockCodec::kFrameBytes + 5, 'x') + noise;
  return {"", "a", words, noise, frames};
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  std::vector<std::string> seeds;
  for (const std::string& data : DataOfSeeds()) {
    for (const bool is_compressed : {false, true}) {
      const ByteSpan span = {data.data(), static_cast<int64_t>(data.size())};
      ByteSpans bytes(&span, 1);
      FileInMemory file("");
      int64_t file_bytes = 0;
      FUZZ_CHECK(
          !WriteBlockFile(file, 3, kId, span.size, bytes, CodecOf(is_compressed), &file_bytes));
      FUZZ_CHECK(file_bytes == static_cast<int64_t>(file.written().size()));
      const Head head = {is_compressed, static_cast<uint32_t>(data.size())};
      seeds.push_back(std::string(reinterpret_cast<const char*>(&head), sizeof(head)) +
                      file.written());
    }
  }
  return seeds;
}

}  // namespace taskmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace taskmem;
  Head head;
  if (bytes < sizeof(head)) return 0;
  memcpy(&head, data, sizeof(head));
  const std::string_view text(reinterpret_cast<const char*>(data) + sizeof(head),
                              bytes - sizeof(head));
  const int64_t size = head.data_bytes % (kMostBytes + 1);
  // What is behind it stays as it is.
  constexpr size_t kBehind = 64;
  const std::string behind(kBehind, '#');
  std::string memory = std::string(static_cast<size_t>(size), '?') + behind;
  FileInMemory file(text);
  const DiskError error =
      ReadBlockFile(file, 3, kId, memory.data(), size, static_cast<int64_t>(text.size()),
                    CodecOf(head.is_compressed % 2 == 1));
  FUZZ_CHECK(memory.compare(static_cast<size_t>(size), kBehind, behind) == 0);
  if (error) {
    FUZZ_CHECK(error.code == DiskErrorCode::kLost);
    return 0;
  }
  static const std::vector<std::string> put = DataOfSeeds();
  memory.resize(static_cast<size_t>(size));
  FUZZ_CHECK(std::find(put.begin(), put.end(), memory) != put.end());
  return 0;
}
