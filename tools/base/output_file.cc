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

int WriteAll(int fd, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = write(fd, text.data() + done, text.size() - done);
    if (written < 0 && errno != EINTR) return errno;
    if (written > 0) done += static_cast<size_t>(written);
  }
  return 0;
}

int WriteNew(const std::string& path, int flags, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0666);
  if (fd < 0) return errno;
  const int error = WriteAll(fd, text);
  if (close(fd) != 0 && error == 0) return errno;
  return error;
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
  if (!IsReplaceable(path)) return WriteNew(path, 0, text);
  const std::string target = Target(path);
  const std::string temporary = fmt::format("{}.{}.tmp", target, getpid());
  int error = WriteNew(temporary, O_CREAT | O_TRUNC, text);
  if (error == 0 && rename(temporary.c_str(), target.c_str()) != 0) error = errno;
  if (error != 0) unlink(temporary.c_str());
  return error;
}

void CheckOutputFileOrFail(const std::string& path) {
  const int error = path.empty() ? 0 : CheckOutputFile(path);
  if (error != 0) Fatal(kExitUsage, "cannot write {}: {}", path, strerror(error));
}

void WriteOutputFileOrFail(const std::string& path, const std::string& text) {
  const int error = WriteOutputFile(path, text);
  if (error != 0) Fatal(EXIT_FAILURE, "cannot write {}: {}", path, strerror(error));
}

}  // namespace taskmem
