#include "shim/published/program_name.h"

#include "shim/base/os.h"
#include "shim/published/program_title.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

const char* StatsProgram() {
  if (g_stats->program[0] == '\0') {
    os::ReadLink("/proc/self/exe", g_stats->program, sizeof(g_stats->program));
  }
  return g_stats->program;
}

void StatsNoteTitle(int argc, const char* const* argv) {
  DescribeProgram(StatsProgram(), argc, argv, g_stats->title, sizeof(g_stats->title));
}

}  // namespace taskmem
