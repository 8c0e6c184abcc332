#include "shim/published/stats_end.h"

#include <sys/resource.h>

#include <cstdlib>
#include <cstring>

#include "shim/base/os.h"
#include "shim/published/stats_place.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

bool HasListedBooks() {
  return g_stats != nullptr && HasOwnBooks() && IsListed() && !IsVforkChild();
}

void NoteExited() { g_stats->state.store(ProcessState::kExited, std::memory_order_release); }

void NoteResidentBytes() {
  struct rusage usage = {};
  if (os::Call(SYS_getrusage, RUSAGE_SELF, reinterpret_cast<long>(&usage)) == 0) {
    g_stats->peak_resident_bytes.store(static_cast<uint64_t>(usage.ru_maxrss) * 1024);
  }
  char text[128];
  if (os::ReadFile("/proc/self/statm", text, sizeof(text)) > 0) {
    const char* resident = strchr(text, ' ');
    if (resident != nullptr) {
      g_stats->resident_bytes_at_exit.store(strtoull(resident, nullptr, 10) * 4096);
    }
  }
}

}  // namespace

bool StatsOutliveProcess() { return g_stats->session[0] != '\0'; }

void StatsAtExit() {
  if (!HasListedBooks()) return;
  if (StatsOutliveProcess()) {
    NoteResidentBytes();
    NoteExited();
    return;
  }
  NoteExited();
  RemoveListedFile();
  NoteUnlisted();
}

void StatsLeaveBehind() {
  if (!HasListedBooks()) return;
  NoteExited();
  NoteUnlisted();
}

}  // namespace taskmem
