#include "tools/base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "tools/base/message.h"

namespace taskmem {
namespace {

bool IsReplaceable(const std::string& path) {
  struct stat file;
  return stat(path.c_str(), &file) != 0 || S_ISREG(file.st_mode);
}

// Where a link points to, so that the file is replaced and the link stays.
std::string Target(const std::string& path) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::canonical(path, error);
  return error ? path : target.string();
}

// What the path stands for, as it is written: a regular file is a new one until all is there.
class Output {
 public:
  explicit Output(const std::string& path) {
    if (IsReplaceable(path)) {
      target_ = Target(path);
      temporary_ = fmt::format("{}.{}.tmp", target_, getpid());
    }
    const int flags = temporary_.empty() ? 0 : O_CREAT | O_TRUNC;
    const std::string& opened = temporary_.empty() ? path : temporary_;
    fd_ = open(opened.c_str(), O_WRONLY | O_CLOEXEC | flags, 0666);
    if (fd_ < 0) error_ = errno;
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  // Without End: nothing appears.
  ~Output() {
    if (fd_ < 0) return;
    error_ = ECANCELED;
    End();
  }

  // 0 or an errno; after one nothing is written.
  int Write(std::string_view text) {
    if (error_ == 0) error_ = WriteText(fd_, text);
    return error_;
  }
  int End() {
    if (fd_ < 0) return error_;
    if (close(std::exchange(fd_, -1)) != 0 && error_ == 0) error_ = errno;
    if (temporary_.empty()) return error_;
    if (error_ == 0 && rename(temporary_.c_str(), target_.c_str()) != 0) error_ = errno;
    if (error_ != 0) unlink(temporary_.c_str());
    return error_;
  }

 private:
  std::string target_;
  std::string temporary_;  // empty: what is there is written to
  int fd_ = -1;
  int error_ = 0;
};

[[noreturn]] void FailToWrite(const std::string& path, int error) {
  Fatal(EXIT_FAILURE, "cannot write {}: {}", path, strerror(error));
}

}  // namespace

int CheckOutputFile(const std::string& path) {
  struct stat file;
  if (stat(path.c_str(), &file) == 0) {
    if (S_ISDIR(file.st_mode)) return EISDIR;
    if (access(path.c_str(), W_OK) != 0) return errno;
  }
  if (!IsReplaceable(path)) return 0;
  const std::filesystem::path folder = std::filesystem::path(Target(path)).parent_path();
  if (access(folder.empty() ? "." : folder.c_str(), F_OK) != 0) return errno;
  std::error_code error;
  if (!std::filesystem::is_directory(folder.empty() ? "." : folder, error)) return ENOTDIR;
  return access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) == 0 ? 0 : errno;
}

int CheckAppendedFile(const std::string& path) {
  constexpr int kFlags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  const int made = open(path.c_str(), kFlags | O_CREAT | O_EXCL, 0600);
  if (made >= 0) {
    close(made);
    unlink(path.c_str());
    return 0;
  }
  if (errno != EEXIST) return errno;
  const int fd = open(path.c_str(), kFlags);
  if (fd < 0) return errno;
  struct stat file;
  if (fstat(fd, &file) != 0 || !S_ISFIFO(file.st_mode)) close(fd);
  return 0;
}

int WriteOutputFile(const std::string& path, const std::string& text) {
  Output output(path);
  output.Write(text);
  return output.End();
}

void CheckOutputFileOrFail(const std::string& path) {
  const int error = path.empty() ? 0 : CheckOutputFile(path);
  if (error != 0) Fatal(kExitUsage, "cannot write {}: {}", path, strerror(error));
}

void CheckOutputFileOrFail(const std::string& path, const std::string& input) {
  CheckOutputFileOrFail(path);
  struct stat output;
  struct stat read;
  if (path.empty() || stat(path.c_str(), &output) != 0 || stat(input.c_str(), &read) != 0) return;
  if (output.st_dev != read.st_dev || output.st_ino != read.st_ino) return;
  Fatal(kExitUsage, "cannot write {}: it is the file that is read", path);
}

void WriteOutputFileOrFail(const std::string& path, const std::string& text) {
  const int error = WriteOutputFile(path, text);
  if (error != 0) FailToWrite(path, error);
}

void WritePiecesOrFail(const std::string& path, const std::function<void(const TextSink&)>& write) {
  constexpr size_t kBytes = 64 * 1024;
  std::optional<Output> output;
  if (!path.empty()) output.emplace(path);
  std::string text;
  const auto flush = [&] {
    if (!output) {
      PrintOrFail(text);
    } else if (const int error = output->Write(text)) {
      output->End();
      FailToWrite(path, error);
    }
    text.clear();
  };
  write([&](std::string_view piece) {
    text += piece;
    if (text.size() >= kBytes) flush();
  });
  flush();
  if (!output) return;
  if (const int error = output->End()) FailToWrite(path, error);
}

}  // namespace taskmem
