// Writes messages in protobuf's wire format: just what a profile needs.
#ifndef TASKMEM_TOOLS_AUDIT_REPORT_PROTOBUF_WRITER_H_
#define TASKMEM_TOOLS_AUDIT_REPORT_PROTOBUF_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace taskmem {

class ProtobufWriter {
 public:
  // Zero is the default of every number, and not written.
  void Number(uint32_t field, uint64_t value) {
    if (value == 0) return;
    Varint(uint64_t{field} << 3);
    Varint(value);
  }
  void Bytes(uint32_t field, std::string_view bytes) {
    Varint(uint64_t{field} << 3 | kLengthDelimited);
    Varint(bytes.size());
    bytes_ += bytes;
  }
  void Message(uint32_t field, const ProtobufWriter& message) { Bytes(field, message.bytes_); }
  void Packed(uint32_t field, const std::vector<uint64_t>& values) {
    ProtobufWriter packed;
    for (const uint64_t value : values) packed.Varint(value);
    Bytes(field, packed.bytes_);
  }

  const std::string& bytes() const { return bytes_; }

 private:
  static constexpr uint64_t kLengthDelimited = 2;

  void Varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_AUDIT_REPORT_PROTOBUF_WRITER_H_
