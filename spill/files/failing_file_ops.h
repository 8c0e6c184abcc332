// File operations that fail when a test says so.
#ifndef TASKMEM_SPILL_FILES_FAILING_FILE_OPS_H_
#define TASKMEM_SPILL_FILES_FAILING_FILE_OPS_H_

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "spill/files/file_ops.h"

namespace taskmem {

// The system's, except as told. Thread-safe while it is not told anything.
class FailingFileOps final : public FileOps {
 public:
  enum Operation {
    kOpenAt,
    kClose,
    kWrite,
    kRead,
    kTruncate,
    kSync,
    kRenameAt,
    kUnlinkAt,
    kMkdirAt,
    kStat,
    kStatAt,
    kAccessAt,
    kChangeMode,
    kStatFs,
    kLock,
    kReadDirectory,
    kOperations,
    kAny,
  };

  // The `nth` operation of this kind from now on fails with `error`, and with `for_ever` all
  // after it.
  void Fail(Operation operation, int nth, int error, bool for_ever = false) {
    operation_ = operation;
    left_ = nth;
    error_ = error;
    for_ever_ = for_ever;
    has_failed_ = false;
  }
  void FailNothing() { Fail(kAny, -1, 0); }
  bool has_failed() const { return has_failed_; }
  // What has; kOperations: nothing.
  Operation failed() const { return failed_; }

  // A write or read does at most so many bytes; 0: as many as it is told.
  void Shorten(size_t bytes) { short_bytes_ = bytes; }
  // Each write and read is interrupted so often before it does anything.
  void Interrupt(int times) { interrupts_ = times; }
  // Is called before each operation.
  void Before(std::function<void(Operation)> before) { before_ = std::move(before); }

  int count(Operation operation) const { return counts_[operation]; }

  int OpenAt(int directory, const char* path, int flags, mode_t mode) override {
    const int error = Check(kOpenAt);
    return error != 0 ? -error : FileOps::OpenAt(directory, path, flags, mode);
  }
  // Closes it in any case, as the system does.
  int Close(int fd) override {
    const int error = Check(kClose);
    const int result = FileOps::Close(fd);
    return error != 0 ? -error : result;
  }
  ssize_t Write(int fd, const iovec* pieces, int count) override {
    if (IsInterrupted()) return -EINTR;
    if (const int error = Check(kWrite)) return -error;
    if (short_bytes_ == 0) return FileOps::Write(fd, pieces, count);
    iovec piece = pieces[0];
    piece.iov_len = std::min(piece.iov_len, short_bytes_);
    return FileOps::Write(fd, &piece, 1);
  }
  ssize_t Read(int fd, void* memory, size_t bytes) override {
    if (IsInterrupted()) return -EINTR;
    if (const int error = Check(kRead)) return -error;
    return FileOps::Read(fd, memory, short_bytes_ == 0 ? bytes : std::min(bytes, short_bytes_));
  }
  int Truncate(int fd, int64_t bytes) override {
    const int error = Check(kTruncate);
    return error != 0 ? -error : FileOps::Truncate(fd, bytes);
  }
  int Sync(int fd) override {
    const int error = Check(kSync);
    return error != 0 ? -error : FileOps::Sync(fd);
  }
  int RenameAt(int directory, const char* from, const char* to) override {
    const int error = Check(kRenameAt);
    return error != 0 ? -error : FileOps::RenameAt(directory, from, to);
  }
  int UnlinkAt(int directory, const char* path, int flags) override {
    const int error = Check(kUnlinkAt);
    return error != 0 ? -error : FileOps::UnlinkAt(directory, path, flags);
  }
  int MkdirAt(int directory, const char* path, mode_t mode) override {
    const int error = Check(kMkdirAt);
    return error != 0 ? -error : FileOps::MkdirAt(directory, path, mode);
  }
  int Stat(int fd, struct stat* status) override {
    const int error = Check(kStat);
    return error != 0 ? -error : FileOps::Stat(fd, status);
  }
  int StatAt(int directory, const char* path, struct stat* status, int flags) override {
    const int error = Check(kStatAt);
    return error != 0 ? -error : FileOps::StatAt(directory, path, status, flags);
  }
  int AccessAt(int directory, const char* path, int mode) override {
    const int error = Check(kAccessAt);
    return error != 0 ? -error : FileOps::AccessAt(directory, path, mode);
  }
  int ChangeMode(int fd, mode_t mode) override {
    const int error = Check(kChangeMode);
    return error != 0 ? -error : FileOps::ChangeMode(fd, mode);
  }
  int StatFs(int fd, struct statvfs* status) override {
    const int error = Check(kStatFs);
    return error != 0 ? -error : FileOps::StatFs(fd, status);
  }
  int Lock(int fd, int operation) override {
    const int error = Check(kLock);
    return error != 0 ? -error : FileOps::Lock(fd, operation);
  }
  ssize_t ReadDirectory(int fd, void* memory, size_t bytes) override {
    const int error = Check(kReadDirectory);
    return error != 0 ? -error : FileOps::ReadDirectory(fd, memory, bytes);
  }

 private:
  // The error with which this operation is to fail; 0: none.
  int Check(Operation operation) {
    ++counts_[operation];
    if (before_) before_(operation);
    if (operation_ != kAny && operation_ != operation) return 0;
    if (has_failed_) return for_ever_ ? error_ : 0;
    if (left_ < 0 || left_-- > 0) return 0;
    has_failed_ = true;
    failed_ = operation;
    return error_;
  }

  bool IsInterrupted() {
    if (interrupts_ == 0) return false;
    if (interrupted_ == interrupts_) {
      interrupted_ = 0;
      return false;
    }
    ++interrupted_;
    return true;
  }

  Operation operation_ = kAny;
  int left_ = -1;
  int error_ = 0;
  bool for_ever_ = false;
  bool has_failed_ = false;
  Operation failed_ = kOperations;
  size_t short_bytes_ = 0;
  int interrupts_ = 0;
  int interrupted_ = 0;
  std::function<void(Operation)> before_;
  std::atomic<int> counts_[kOperations] = {};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_FILES_FAILING_FILE_OPS_H_
