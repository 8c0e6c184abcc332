// Stats files that are damaged anywhere, and everything that is printed of them.
//
// An input is a list of changes to a whole file: 16 bytes each, where and what.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "accounting/audit/stats_layout.h"
#include "tests/support/fuzz_driver.h"
#include "tools/stats/report.h"
#include "tools/stats/run_session.h"
#include "tools/stats/stats_reader.h"

namespace taskmem {
namespace {

struct Change {
  uint64_t where;
  uint64_t what;
};

constexpr uint32_t kTasks = 6;

TaskBook* Books(char* start) { return reinterpret_cast<TaskBook*>(start + kTasksOffset); }

// As a process leaves it.
void Fill(char* start) {
  auto* header = reinterpret_cast<StatsHeader*>(start);
  header->magic = kStatsMagic;
  header->version = kStatsVersion;
  header->pid = static_cast<uint32_t>(getpid());
  header->start_time = 99;
  strcpy(header->program, "/usr/bin/program");
  strcpy(header->session, "1-2-3");
  header->task_slots = kFirstTaskSlot + kTasks;
  header->thread_entries = 3;
  header->pools.memory_bytes = 1 << 30;
  for (uint32_t slot = 0; slot < kFirstTaskSlot + kTasks; ++slot) {
    TaskBook& book = Books(start)[slot];
    book.charged_bytes = 1000 * slot;
    book.peak_charged_bytes = 2000 * slot + 1;
    book.quota_bytes = slot % 2 == 0 ? kNoQuota : 5000;
    book.task_id = slot;
    book.state = slot % 3 == 0 ? TaskState::kEnded : TaskState::kLive;
    strcpy(book.name, "täsk");
    auto& reclaim = reinterpret_cast<ReclaimBook*>(start + kReclaimOffset)[slot];
    reclaim.spill_calls = slot;
    reclaim.written_bytes = slot;
    reclaim.waits = slot;
  }
}

// Mostly where something is.
uint64_t PlaceOf(uint64_t where) {
  constexpr uint64_t kUsed[] = {0, kThreadsOffset, kTasksOffset, kReclaimOffset};
  constexpr uint64_t kUsedBytes[] = {sizeof(StatsHeader), 256,
                                     (kFirstTaskSlot + kTasks) * sizeof(TaskBook),
                                     (kFirstTaskSlot + kTasks) * sizeof(ReclaimBook)};
  const uint64_t part = where % 8;
  if (part < 4) return kUsed[part] + where / 8 % kUsedBytes[part];
  if (part < 7) return kTasksOffset + where / 8 % kUsedBytes[2];
  return where / 8 % (kStatsBytes - sizeof(uint64_t));
}

}  // namespace

std::vector<std::string> FuzzSeeds() {
  const auto change = [](uint64_t where, uint64_t what) {
    const Change one = {where, what};
    return std::string(reinterpret_cast<const char*>(&one), sizeof(one));
  };
  return {change(7, 0), change(8 * 0x168, UINT64_MAX) + change(4, UINT64_MAX) + change(12, 0xff9b),
          change(8 * 0x160, 0x0000ffff0000ffff)};
}

}  // namespace taskmem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace taskmem;
  static const int fd = memfd_create("stats", 0);
  static char* const start = [] {
    FUZZ_CHECK(fd >= 0 && ftruncate(fd, kStatsBytes) == 0);
    return static_cast<char*>(
        mmap(nullptr, kStatsBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  }();
  Fill(start);
  std::vector<uint64_t> changed;
  for (; bytes >= sizeof(Change); data += sizeof(Change), bytes -= sizeof(Change)) {
    Change change;
    memcpy(&change, data, sizeof(change));
    changed.push_back(PlaceOf(change.where));
    memcpy(start + changed.back(), &change.what, sizeof(change.what));
  }
  if (const auto snapshot = StatsSnapshot::Read(fd, StatsParts::kAll)) {
    const ProcessStats process = ReadProcessStats(*snapshot);
    FUZZ_CHECK(process.tasks.size() <= kMaxTaskSlots);
    FUZZ_CHECK(process.peak_charged_bytes >= process.charged_bytes);
    FUZZ_CHECK(IsPrintableText(FormatTables({process, process}, PoolLines::kAll, 80)));
    FUZZ_CHECK(IsPrintableText(FormatProcessList({process}, 80)));
    if (process.tasks.size() < 100) {
      const std::string json = FormatJson(process, {process});
      FUZZ_CHECK(IsPrintableText(json) && nlohmann::json::accept(json));
    }
    IsSessionAlive(process.session);
  }
  for (const uint64_t at : changed) memset(start + at, 0, sizeof(uint64_t));
  return 0;
}
