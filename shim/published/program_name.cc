#include "shim/published/program_name.h"

#include <sys/auxv.h>

#include <cstdio>

#include "shim/base/os.h"
#include "shim/published/program_title.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

const char* StatsProgram() {
  char* const program = g_stats->program;
  if (program[0] == '\0') os::ReadLink("/proc/self/exe", program, sizeof(g_stats->program));
  // Where there is no /proc: as it was executed.
  const auto* const executed = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  if (program[0] == '\0' && executed != nullptr) {
    snprintf(program, sizeof(g_stats->program), "%s", executed);
  }
  return g_stats->program;
}

void StatsNoteTitle(int argc, const char* const* argv) {
  DescribeProgram(StatsProgram(), argc, argv, g_stats->title, sizeof(g_stats->title));
}

}  // namespace taskmem
