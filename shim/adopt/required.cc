#include "shim/adopt/required.h"

#include <string.h>

#include "shim/base/message.h"
#include "shim/base/os.h"

namespace taskmem {
namespace {

constexpr int kNotAdoptedStatus = 1;

bool g_is_required = false;
char g_names[sizeof(Options::adopt_names)] = "";

// Whether the option names this library, not all.
bool IsRequiredByName(const char* base) {
  if (!g_is_required) return false;
  for (const char* at = g_names; *at != '\0';) {
    const size_t length = strcspn(at, ",");
    if (length != 0 && memmem(base, strlen(base), at, length) != nullptr) return true;
    at += length;
    if (*at == ',') ++at;
  }
  return false;
}

// Without names the option means all.
bool IsRequired(const char* base) {
  return g_is_required && (g_names[0] == '\0' || IsRequiredByName(base));
}

void End() { os::Call(SYS_exit_group, kNotAdoptedStatus); }

}  // namespace

void OpenRequired(const Options& options) {
  memcpy(g_names, options.adopt_names, sizeof(g_names));
  g_is_required = options.adopt == Adopt::kRequire;
}

void EndIfRequired(const char* allocator, const char* base, const char* why_not) {
  if (!IsRequired(base)) return;
  Message("--adopt require: %s of %s cannot be adopted: %s", allocator, base, why_not);
  End();
}

void EndIfNamed(const char* base) {
  if (!IsRequiredByName(base)) return;
  Message("--adopt require: %s has no allocator that is known", base);
  End();
}

void EndIfAnyIsRequired(const char* why_not) {
  if (!g_is_required) return;
  Message("--adopt require: %s", why_not);
  End();
}

}  // namespace taskmem
