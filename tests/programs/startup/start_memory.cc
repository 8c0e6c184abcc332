// What a program that does nothing has had in memory, and how large its page tables are: two
// numbers, in KiB. Nothing of the C++ library, and no allocation.
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/programs/support/check.h"

namespace {

long KiB(const char* status, const char* field) {
  const char* const line = strstr(status, field);
  REQUIRE(line != nullptr);
  return atol(line + strlen(field));
}

}  // namespace

int main() {
  char status[8192];
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  REQUIRE(fd >= 0);
  const ssize_t length = read(fd, status, sizeof(status) - 1);
  REQUIRE(length > 0);
  status[length] = '\0';
  char text[64];
  const int bytes =
      snprintf(text, sizeof(text), "%ld %ld\n", KiB(status, "\nVmHWM:"), KiB(status, "\nVmPTE:"));
  REQUIRE(write(1, text, static_cast<size_t>(bytes)) == bytes);
}
