// Numbers and texts one after the other: a number takes as many bytes as it needs (LEB128), a
// signed one zigzag, a text its length first.
#ifndef TASKMEM_TOOLS_RECORDING_PACKED_H_
#define TASKMEM_TOOLS_RECORDING_PACKED_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace taskmem {

class PackedWriter {
 public:
  PackedWriter() = default;
  explicit PackedWriter(std::string bytes) : bytes_(std::move(bytes)) {}

  PackedWriter& Number(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
    return *this;
  }
  PackedWriter& Signed(int64_t value) {
    const auto bits = static_cast<uint64_t>(value);
    return Number(bits << 1 ^ (value < 0 ? UINT64_MAX : 0));
  }
  PackedWriter& Text(std::string_view text) {
    Number(text.size());
    bytes_ += text;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Whatever the bytes are: what is not there, or cannot be, is zero or empty, and `ok()` is false
// from then on.
class PackedReader {
 public:
  explicit PackedReader(std::string_view bytes) : rest_(bytes) {}

  uint64_t Number() {
    constexpr unsigned kMostBits = 64;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < kMostBits; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    Fail();
    return 0;
  }
  int64_t Signed() {
    const uint64_t bits = Number();
    return static_cast<int64_t>(bits >> 1 ^ (bits % 2 != 0 ? UINT64_MAX : 0));
  }
  std::string_view Text() {
    const uint64_t bytes = Number();
    if (bytes > rest_.size()) {
      Fail();
      return {};
    }
    const std::string_view text = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return text;
  }

  bool ok() const { return ok_; }
  bool IsAtEnd() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

 private:
  void Fail() {
    ok_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_PACKED_H_
