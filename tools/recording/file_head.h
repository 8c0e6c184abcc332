// How the file of a recording begins: with a frame that unpackers of zstd skip, so that
// `zstd -dc FILE` gives the records.
#ifndef TASKMEM_TOOLS_RECORDING_FILE_HEAD_H_
#define TASKMEM_TOOLS_RECORDING_FILE_HEAD_H_

#include <cstdint>
#include <string>

#include "tools/recording/record_types.h"

namespace taskmem {

inline constexpr char kHeadFrame[] = "\x54\x2a\x4d\x18\x40\0\0\0";
inline constexpr size_t kHeadFrameBytes = sizeof(kHeadFrame) - 1;
inline constexpr char kHeadText[] = "taskmem recording ";
inline constexpr size_t kHeadTextBytes = 0x40;
inline constexpr size_t kFileHeadBytes = kHeadFrameBytes + kHeadTextBytes;

inline std::string FileHead() {
  std::string head(kHeadFrame, kHeadFrameBytes);
  head += kHeadText + std::to_string(kRecordingVersion) + "\n";
  head.resize(kFileHeadBytes, ' ');
  return head;
}

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_FILE_HEAD_H_
