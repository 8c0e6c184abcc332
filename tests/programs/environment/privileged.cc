// Says what taskmem does in it: one line each for whether the kernel calls it privileged, the
// quota of its task, the file of its books, and the variables of taskmem that are left.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "shim/taskmem.h"

int main() {
  printf("privileged %d\n", getauxval(AT_SECURE) != 0);
  void* volatile block = malloc(64 << 20);
  printf("64 MiB %s\n", block != nullptr ? "given" : "refused");
  free(block);
  // It runs what TASKMEM_COMMAND names.
  printf("audit %s\n", taskmem_audit("/dev/null/nowhere") == 0 ? "done" : "failed");
  FILE* maps = fopen("/proc/self/maps", "r");
  char line[1024];
  while (maps != nullptr && fgets(line, sizeof(line), maps) != nullptr) {
    const char* books = strstr(line, "taskmem-");
    if (books != nullptr && strstr(line, " rw-s ") != nullptr)
      printf("books %s", strchr(line, '/'));
  }
  for (char** at = environ; *at != nullptr; ++at) {
    if (strncmp(*at, "TASKMEM_", 8) == 0) printf("variable %s\n", *at);
  }
  return 0;
}
