#include "shim/mappings/profiles.h"

#include <errno.h>
#include <sys/prctl.h>

#include <cstring>

#include "accounting/base/base_name.h"
#include "shim/base/os.h"
#include "shim/heap/heap.h"
#include "shim/published/program_name.h"

namespace taskmem {
namespace {

struct Profile {
  const char* name;
  const char* programs[4];
  uint64_t refuse_min_bytes;
  bool refuses_mappings;
  const char* runtime_threads[12];  // prefixes of thread names
};

constexpr Profile kProfiles[] = {
    {"java",
     {"java", "javac", "jshell"},
     256 * 1024,
     false,
     {"C1 Compiler", "C2 Compiler", "VM Thread", "VM Periodic", "GC Thread", "G1 ", "Signal Disp",
      "Sweeper", "Reference Han", "Finalizer", "Service Thread"}},
    {"postgres", {"postgres", "postmaster"}, 1024, true, {}},
    {"sqlite3", {"sqlite3"}, 1024, true, {}},
    {"node", {"node", "nodejs"}, 256 * 1024, false, {}},
};

const Profile* g_profile = nullptr;

const Profile* Find(const char* wanted) {
  const bool by_program = strcmp(wanted, "auto") == 0;
  const char* program = by_program ? BaseName(StatsProgram()) : nullptr;
  for (const Profile& profile : kProfiles) {
    if (!by_program) {
      if (strcmp(profile.name, wanted) == 0) return &profile;
      continue;
    }
    for (const char* name : profile.programs) {
      if (name != nullptr && strcmp(name, program) == 0) return &profile;
    }
  }
  return nullptr;
}

}  // namespace

void ApplyProfile(Options* options) {
  g_profile = Find(options->profile);
  if (g_profile == nullptr) return;
  if (!options->refuse_min_given) options->refuse_min_bytes = g_profile->refuse_min_bytes;
}

bool MayRefuseMappings() { return g_profile == nullptr || g_profile->refuses_mappings; }

void ExemptIfRuntimeThread() {
  if (g_profile == nullptr || g_profile->runtime_threads[0] == nullptr) return;
  if (os::IsSealed()) return;
  char name[16] = {};
  os::Call(SYS_prctl, PR_GET_NAME, reinterpret_cast<long>(name));
  for (const char* prefix : g_profile->runtime_threads) {
    if (prefix != nullptr && strncmp(name, prefix, strlen(prefix)) == 0) ExemptThread();
  }
}

}  // namespace taskmem
