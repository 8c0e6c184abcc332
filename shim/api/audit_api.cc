// The audit for the program itself: who reads the memory of a process is another process.
#define TASKMEM_IMPLEMENTATION
#include <unistd.h>

#include <cstdio>

#include "shim/process/own_command.h"
#include "shim/taskmem.h"

int taskmem_audit(const char* path) {
  if (path == nullptr || *path == '\0') return EINVAL;
  char pid[16];
  snprintf(pid, sizeof(pid), "%d", getpid());
  char name[] = "taskmem";
  char audit[] = "audit";
  char json[] = "--json";
  char output[] = "--output";
  char* const arguments[] = {name, audit, pid, json, output, const_cast<char*>(path), nullptr};
  return taskmem::RunOwnCommand(arguments);
}
