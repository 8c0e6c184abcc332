#include "shim/published/stats_publish.h"

#include <unistd.h>

#include <cstdio>

#include "accounting/base/process_stat.h"
#include "shim/base/environment.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/base/run_notice.h"
#include "shim/published/program_name.h"
#include "shim/published/sparse_space.h"
#include "shim/published/stats_place.h"
#include "shim/published/stats_room.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

bool g_is_to_be_listed = false;  // the parent's books were in a file

uint64_t StartTime() {
  char text[1024];
  if (os::ReadFile("/proc/self/stat", text, sizeof(text)) <= 0) return 0;
  return ProcessStatNumber(text, kStatStartTime);
}

void FillHeader() {
  g_stats->version = kStatsVersion;
  g_stats->parent_pid = static_cast<uint32_t>(os::Call(SYS_getppid));
  g_stats->start_time = StartTime();
  g_stats->state.store(ProcessState::kRunning, std::memory_order_relaxed);
  const char* session = EnvironmentVariable("TASKMEM_SESSION");
  snprintf(g_stats->session, sizeof(g_stats->session), "%s", session != nullptr ? session : "");
  StatsProgram();
  g_stats->magic = kStatsMagic;
}

// Makes the empty file `fd` as large as the segment, copies the books into it and maps it in the
// segment's place. Returns what failed, or nullptr.
const char* MoveInto(long fd) {
  if (!IsWithinFileLimit(kStatsBytes) ||
      os::Failed(os::Call(SYS_ftruncate, fd, static_cast<long>(kStatsBytes)))) {
    return "size";
  }
  const long mapped = os::Call(SYS_mmap, 0, static_cast<long>(kStatsBytes), PROT_READ | PROT_WRITE,
                               MAP_SHARED, fd, 0);
  if (os::Failed(mapped)) return "map";
  auto* const file = reinterpret_cast<char*>(mapped);
  const char* failed = "find space for";
  if (ReserveUsedParts(file, fd)) {
    CopyUsedParts(file);
    const long moved =
        os::Call(SYS_mremap, mapped, static_cast<long>(kStatsBytes), static_cast<long>(kStatsBytes),
                 MREMAP_MAYMOVE | MREMAP_FIXED, reinterpret_cast<long>(g_stats));
    if (!os::Failed(moved)) return nullptr;
    failed = "map";
  }
  os::Unmap(file, kStatsBytes);
  return failed;
}

// Creates the file and maps it over the segment; tells a `taskmem run` that waits for it, if
// `tells_run`. Returns what failed, or nullptr.
const char* Publish(bool tells_run) {
  FillHeader();
  char name[32];
  snprintf(name, sizeof(name), "%u-%llu", g_stats->pid,
           static_cast<unsigned long long>(g_stats->start_time));
  const NewStatsFile file = CreateStatsFile(name);
  const char* failed = "create";
  if (!os::Failed(file.fd)) {
    failed = MoveInto(file.fd);
    if (failed == nullptr && tells_run) TellRun(g_stats->session, static_cast<int>(file.fd));
    os::Call(SYS_close, file.fd);
    if (failed != nullptr) RemoveStatsFile(file.dir, name);
  }
  os::Call(SYS_close, file.dir);
  if (failed == nullptr) NoteListed(name);
  return failed;
}

// A privileged program may run as the very user who called it (a set-group-ID program, one with
// file capabilities): that user may write to whatever file it makes, and so into books that the
// program relies on. They stay where nobody else gets at them.
bool MayPublish() { return !IsPrivileged() || getuid() != geteuid(); }

}  // namespace

void StatsPublish(const Options& options) {
  if (!MayPublish()) return;
  ChooseStatsDir(options.stats_dir);
  const char* const failed = Publish(/*tells_run=*/true);
  if (failed != nullptr) {
    TellRun(g_stats->session, -1);
    Message("cannot %s the stats file in %s: limits hold, without tables (ps, stats, run)", failed,
            StatsDirPath());
  }
}

void StatsNotePrivate() {
  // A child of a child that was never listed is listed like that.
  if (IsListed()) g_is_to_be_listed = true;
  NoteUnlisted();
}

void StatsList() {
  if (!g_is_to_be_listed) return;
  g_is_to_be_listed = false;
  Publish(/*tells_run=*/false);
}

void StatsKeepUnlisted() { g_is_to_be_listed = false; }

}  // namespace taskmem
