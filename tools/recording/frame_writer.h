// The file of a recording, as it is written: records gather in a frame, which is packed and written
// whole. Whatever becomes of the writer, the frames that were written can be read.
#ifndef TASKMEM_TOOLS_RECORDING_FRAME_WRITER_H_
#define TASKMEM_TOOLS_RECORDING_FRAME_WRITER_H_

#include <cstdint>
#include <string>

#include "tools/recording/packed.h"
#include "tools/recording/record_types.h"

namespace taskmem {

// Not thread-safe.
class FrameWriter {
 public:
  // Replaces a regular file of that name, which no other of these is writing (of any process).
  // Where that cannot be: error() says why.
  explicit FrameWriter(const std::string& path);
  // Flushes.
  ~FrameWriter();
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;

  void Add(RecordType type, const PackedWriter& payload);

  // Writes what has gathered. After a failure nothing is written any more.
  void Flush();

  // Empty: all is well.
  const std::string& error() const { return error_; }

  uint64_t packed_bytes() const { return packed_bytes_; }  // written so far
  // Of records, before they are packed; those that have not been written count, too.
  uint64_t record_bytes() const { return record_bytes_; }

 private:
  void Write(const std::string& bytes);

  int fd_ = -1;
  std::string frame_;
  std::string error_;
  uint64_t packed_bytes_ = 0;
  uint64_t record_bytes_ = 0;
};

// What error() of a FrameWriter would be now.
std::string WhyNotRecorded(const std::string& path);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_FRAME_WRITER_H_
