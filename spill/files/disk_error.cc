#include "spill/files/disk_error.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace taskmem {
namespace {

DiskErrorCode CodeOf(int os_error) {
  switch (os_error) {
    case ENOSPC: return DiskErrorCode::kNoSpace;
    case EDQUOT: return DiskErrorCode::kQuota;
    case EFBIG: return DiskErrorCode::kTooLarge;
    case EROFS: return DiskErrorCode::kReadOnly;
    case EACCES:
    case EPERM: return DiskErrorCode::kNotPermitted;
    case EMFILE:
    case ENFILE: return DiskErrorCode::kTooManyFiles;
    case EIO: return DiskErrorCode::kIo;
    case ENOENT:
    case ESTALE: return DiskErrorCode::kVanished;
    case ENOTDIR:
    case ELOOP: return DiskErrorCode::kNotADirectory;
    default: return DiskErrorCode::kOther;
  }
}

// What is wrong where the system has no words for it.
const char* WordsOf(DiskErrorCode code) {
  switch (code) {
    case DiskErrorCode::kNotPermitted: return "it belongs to another user";
    case DiskErrorCode::kNoSpace: return "the disk has less space than that";
    case DiskErrorCode::kTooLarge:
      return "the limit on the size of files (ulimit -f) is below that";
    case DiskErrorCode::kWrongProcess: return "this child process was not made by fork()";
    case DiskErrorCode::kClosed: return "the process is ending";
    case DiskErrorCode::kVanished: return "the directory was removed";
    default: return "unknown error";
  }
}

}  // namespace

DiskError DiskErrorFrom(int os_error, const char* detail) {
  return {CodeOf(os_error), os_error, detail};
}

void Describe(const DiskError& error, char* text, size_t size) {
  if (size == 0) return;
  switch (error.code) {
    case DiskErrorCode::kNone: snprintf(text, size, "no error"); return;
    case DiskErrorCode::kNotFound: snprintf(text, size, "the block is not on disk"); return;
    case DiskErrorCode::kLost: {
      const char* const system = error.os_error > 0 ? strerrordesc_np(error.os_error) : nullptr;
      snprintf(text, size, "the block is lost: %s%s%s", error.detail, system != nullptr ? ": " : "",
               system != nullptr ? system : "");
      return;
    }
    case DiskErrorCode::kWrongSize: snprintf(text, size, "the block has another size"); return;
    case DiskErrorCode::kInvalidArgument:
      snprintf(text, size, "invalid argument: %s", error.detail);
      return;
    case DiskErrorCode::kNoMemory:
      snprintf(text, size, "cannot %s: there is no memory", error.detail);
      return;
    default: break;
  }
  const char* words = nullptr;
  if (error.os_error > 0) words = strerrordesc_np(error.os_error);
  if (words == nullptr) words = WordsOf(error.code);
  snprintf(text, size, "cannot %s: %s", error.detail, words);
}

}  // namespace taskmem
