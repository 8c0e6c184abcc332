#include "shim/adopt/required.h"

#include <string.h>

#include "shim/base/message.h"
#include "shim/base/os.h"

namespace taskmem {
namespace {

constexpr int kNotAdoptedStatus = 1;

bool g_is_required = false;
char g_names[sizeof(Options::adopt_names)] = "";

}  // namespace

void OpenRequired(const Options& options) {
  memcpy(g_names, options.adopt_names, sizeof(g_names));
  g_is_required = options.adopt == Adopt::kRequire;
}

bool IsAdoptionRequired(const char* base) {
  return g_is_required && (g_names[0] == '\0' || IsAdoptionRequiredByName(base));
}

bool IsAdoptionRequiredByName(const char* base) {
  if (!g_is_required) return false;
  for (const char* at = g_names; *at != '\0';) {
    const size_t length = strcspn(at, ",");
    if (length != 0 && memmem(base, strlen(base), at, length) != nullptr) return true;
    at += length;
    if (*at == ',') ++at;
  }
  return false;
}

void EndIfRequired(const char* allocator, const char* base, const char* why_not) {
  if (!IsAdoptionRequired(base)) return;
  Message("--adopt require: %s of %s cannot be adopted: %s", allocator, base, why_not);
  os::Call(SYS_exit_group, kNotAdoptedStatus);
}

}  // namespace taskmem
