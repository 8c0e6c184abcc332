#include "shim/base/environment.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace taskmem {

bool IsPrivileged() { return getauxval(AT_SECURE) != 0; }

const char* EnvironmentVariable(const char* name, bool is_privileged) {
  return is_privileged ? nullptr : getenv(name);
}

void ForgetVariables() {
  constexpr char kPrefix[] = "TASKMEM_";
  if (environ == nullptr) return;
  char** kept = environ;
  for (char** at = environ; *at != nullptr; ++at) {
    if (strncmp(*at, kPrefix, sizeof(kPrefix) - 1) != 0) *kept++ = *at;
  }
  *kept = nullptr;
}

}  // namespace taskmem
