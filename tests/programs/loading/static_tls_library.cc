// A library with 512 bytes of initial-exec thread-local storage.
#include "tests/programs/support/check.h"

__attribute__((tls_model("initial-exec"))) __thread char t_bytes[512];

extern "C" __attribute__((visibility("default"))) char* ThreadBytes() { return t_bytes; }
