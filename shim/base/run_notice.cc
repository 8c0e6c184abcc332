#include "shim/base/run_notice.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "shim/base/os.h"

namespace taskmem {
namespace {

bool IsUnderFilter() {
  char status[4096];
  if (os::ReadFile("/proc/self/status", status, sizeof(status)) <= 0) return true;
  const char* const line = strstr(status, "\nSeccomp:\t");
  return line == nullptr || line[strlen("\nSeccomp:\t")] != '0';
}

}  // namespace

socklen_t RunAddress(const char* session, sockaddr_un* address) {
  memset(address, 0, sizeof(*address));
  address->sun_family = AF_UNIX;
  // The first byte is 0: no file.
  const int length =
      snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "taskmem-%s", session);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<size_t>(length));
}

void TellRun(const char* session, int stats_file) {
  const long run = strtol(session, nullptr, 10);
  if (run <= 1 || os::Call(SYS_getppid) != run || IsUnderFilter()) return;
  const long fd = os::Call(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (os::Failed(fd)) return;
  sockaddr_un address;
  char text = static_cast<char>(stats_file < 0 ? RunNotice::kNoBooks : RunNotice::kBooks);
  iovec piece = {&text, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_namelen = RunAddress(session, &address);
  message.msg_name = &address;
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (stats_file >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &stats_file, sizeof(stats_file));
  }
  os::Call(SYS_sendmsg, fd, reinterpret_cast<long>(&message), MSG_NOSIGNAL | MSG_DONTWAIT);
  os::Call(SYS_close, fd);
}

}  // namespace taskmem
