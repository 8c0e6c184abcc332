#include "tools/base/message.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <new>

#include "tools/base/units.h"

namespace taskmem {

void ReserveStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free descriptor is this one. What is said is lost; what was asked for is not
    // lost without a word: writing it fails as before.
    const int flags = (fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) | O_CLOEXEC;
    if (open("/dev/null", flags) >= 0) continue;
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) return;
    const int other = pipe_fds[0] == fd ? pipe_fds[1] : pipe_fds[0];
    if (other > STDERR_FILENO) close(other);
  }
}

int WriteText(int fd, std::string_view text) noexcept {
  // A reader that does not read holds us up as it would anybody, unless it asked not to.
  constexpr int kPatienceMs = 1000;
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return errno;
    pollfd waits = {fd, POLLOUT, 0};
    if (poll(&waits, 1, kPatienceMs) == 0) return EAGAIN;
  }
  return 0;
}

void SayText(std::string_view text) noexcept {
  try {
    std::string line = "taskmem: ";
    line += Printable(text);
    line += '\n';
    WriteText(STDERR_FILENO, line);
  } catch (...) {
    WriteText(STDERR_FILENO, "taskmem: out of memory\n");
  }
}

void PrintOrFail(std::string_view text) {
  const int error = WriteText(STDOUT_FILENO, text);
  if (error != 0) Fatal(EXIT_FAILURE, "cannot write standard output: {}", strerror(error));
}

void SayCaught(std::string_view what) noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    Say("{}: out of memory", what);
  } catch (const std::exception& error) {
    Say("{}: {}", what, error.what());
  } catch (...) {
    Say("{}: it failed", what);
  }
}

}  // namespace taskmem
