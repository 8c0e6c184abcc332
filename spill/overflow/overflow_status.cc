#include "spill/overflow/overflow_status.h"

namespace taskmem {

const char* OverflowStatusText(OverflowStatus status) {
  switch (status) {
    case OverflowStatus::kOk: return "done";
    case OverflowStatus::kNoFile: return "no file can be made in the spill directory";
    case OverflowStatus::kInMemory:
      return "the spill directory is kept in memory (tmpfs): name one on a disk";
    case OverflowStatus::kNoAddresses: return "no addresses are left (ulimit -v?)";
    case OverflowStatus::kOverLimit: return "--overflow-size leaves too little";
    case OverflowStatus::kNoSpace: return "the file system of the spill directory is full";
    case OverflowStatus::kFileLimit: return "the limit on file sizes is reached (ulimit -f)";
    case OverflowStatus::kFailed: return "the file cannot be extended or mapped";
  }
  return "";
}

}  // namespace taskmem
