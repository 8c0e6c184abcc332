// The file of a recording, frame by frame. Nothing in it is trusted.
#ifndef TASKMEM_TOOLS_RECORDING_FRAME_READER_H_
#define TASKMEM_TOOLS_RECORDING_FRAME_READER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "tools/recording/packed.h"
#include "tools/recording/record_types.h"

namespace taskmem {

struct ReadResult {
  std::string error;   // it is no recording, or cannot be read: nothing was visited
  std::string damage;  // where and how it ends before its end; empty: it is whole
};

// Calls visit(type, payload) for each record, in order, until it returns false. At the first
// frame that is cut or damaged the reading ends: `damage` says so.
using RecordVisitor = std::function<bool(RecordType, PackedReader)>;
ReadResult ReadRecords(const std::string& path, const RecordVisitor& visit);

// The same of what is in memory.
ReadResult ReadRecordsOf(std::string_view file, const RecordVisitor& visit);

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_FRAME_READER_H_
