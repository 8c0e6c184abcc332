#include "tools/cli/run_listener.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

#include "shim/base/run_notice.h"

namespace taskmem {

RunListener::RunListener(const std::string& session) {
  socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket_ < 0) return;
  sockaddr_un address;
  const socklen_t length = RunAddress(session.c_str(), &address);
  const int on = 1;
  if (setsockopt(socket_, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0 ||
      bind(socket_, reinterpret_cast<sockaddr*>(&address), length) != 0) {
    close(socket_);
    socket_ = -1;
  }
}

RunListener::~RunListener() {
  if (socket_ >= 0) close(socket_);
  if (stats_file_ >= 0) close(stats_file_);
}

void RunListener::Hear(pid_t pid) {
  // Others may send, too: not for ever.
  constexpr int kMostNotices = 10'000;
  for (int i = 0; socket_ >= 0 && i < kMostNotices; ++i) {
    char text = 0;
    iovec piece = {&text, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(8 * sizeof(int))];
    msghdr message = {};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    if (recvmsg(socket_, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0) return;
    ucred sender = {};
    int file = -1;
    for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
      if (at->cmsg_level != SOL_SOCKET) continue;
      if (at->cmsg_type == SCM_CREDENTIALS) memcpy(&sender, CMSG_DATA(at), sizeof(sender));
      if (at->cmsg_type != SCM_RIGHTS) continue;
      for (size_t n = 0; n < (at->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++n) {
        if (file >= 0) close(file);
        memcpy(&file, CMSG_DATA(at) + n * sizeof(int), sizeof(file));
      }
    }
    if (sender.pid == pid) {
      has_no_books_ = text == static_cast<char>(RunNotice::kNoBooks);
      if (stats_file_ >= 0) close(stats_file_);
      stats_file_ = file;
    } else if (file >= 0) {
      close(file);
    }
  }
}

}  // namespace taskmem
