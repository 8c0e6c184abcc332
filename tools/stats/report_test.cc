#include "tools/stats/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

namespace taskmem {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TaskStats Task(uint64_t id, const char* name, uint64_t charged) {
  TaskStats task;
  task.id = id;
  task.name = name;
  task.charged_bytes = charged;
  task.peak_charged_bytes = 2 * charged;
  return task;
}

ProcessStats Process() {
  ProcessStats process;
  process.pid = 4711;
  process.program = "/usr/bin/prog";
  process.charged_bytes = 3 << 20;
  process.peak_charged_bytes = 9 << 20;
  process.untracked_bytes = 1 << 20;
  process.resident_bytes = 5 << 20;
  process.peak_resident_bytes = 6 << 20;
  return process;
}

TEST(FormatTables, IsAligned) {
  ProcessStats process = Process();
  TaskStats task = Task(1, "query", 2 << 20);
  task.quota_bytes = 64 << 20;
  task.peak_overdraft_bytes = 1 << 20;
  process.tasks.push_back(task);
  EXPECT_EQ(FormatTables({process}, PoolLines::kWhereShort, 80),
            "taskmem: prog, pid 4711, resident 5.0 MiB, peak resident 6.0 MiB\n"
            "  task  name          peak  at exit     quota  overdrawn\n"
            "     1  query      4.0 MiB  2.0 MiB  64.0 MiB    1.0 MiB\n"
            "     -  untracked      0 B  1.0 MiB         -          -\n"
            "     -  total      9.0 MiB  3.0 MiB         -          -\n");
}

ProcessStats ProcessWithAllocators() {
  ProcessStats process = Process();
  process.allocators.push_back({"jemalloc", "_duckdb.so", "duckdb_je_*", AdoptionState::kAdopted,
                                "26 functions jump to taskmem's", 12 << 20});
  process.allocators.push_back({"mimalloc", "_internal.so", "", AdoptionState::kKept,
                                "stripped: its functions have no names", std::nullopt});
  process.allocators.push_back(
      {"JVM", "libjvm.so", "", AdoptionState::kApart, "a managed heap", std::nullopt});
  return process;
}

TEST(FormatTables, SaysWhichAllocatorsWereAdoptedAndWhichKeepTheirOwnMemory) {
  const std::string text = FormatTables({ProcessWithAllocators()}, PoolLines::kWhereShort, 200);
  EXPECT_THAT(text, HasSubstr("  mimalloc of _internal.so keeps its own memory: stripped: "));
  EXPECT_THAT(text, HasSubstr("  jemalloc of _duckdb.so (duckdb_je_*): adopted, 12.0 MiB live; "));
  EXPECT_THAT(text, Not(HasSubstr("libjvm")));
}

TEST(FormatTables, NamesAllAllocatorsWhereAllIsWanted) {
  const std::string text = FormatTables({ProcessWithAllocators()}, PoolLines::kAll, 200);
  EXPECT_THAT(text, HasSubstr("  jemalloc of _duckdb.so (duckdb_je_*): adopted, 12.0 MiB live; "));
  EXPECT_THAT(text, HasSubstr("  JVM of libjvm.so keeps its own memory: a managed heap\n"));
}

TEST(FormatJson, HasEachAllocator) {
  const auto json = nlohmann::json::parse(FormatJson(ProcessWithAllocators(), {}));
  ASSERT_EQ(json["allocators"].size(), 3u);
  EXPECT_EQ(json["allocators"][0]["live_bytes"], 12 << 20);
  EXPECT_EQ(json["allocators"][0]["state"], "adopted");
  EXPECT_EQ(json["allocators"][1]["state"], "kept");
  EXPECT_TRUE(json["allocators"][1]["live_bytes"].is_null());
  EXPECT_EQ(json["allocators"][2]["state"], "apart");
}

ProcessStats ProcessWithPools() {
  ProcessStats process = Process();
  process.pools.memory_bytes = 1 << 30;
  process.pools.execution_used_bytes = 300 << 20;
  process.pools.unmanaged_bytes = 176 << 10;
  process.pools.active_tasks = 1;
  return process;
}

TEST(FormatTables, ShowsWhereMemoryHasGone) {
  ProcessStats process = ProcessWithPools();
  EXPECT_THAT(FormatTables({process}, PoolLines::kAll, 80),
              EndsWith("  total      9.0 MiB  3.0 MiB\n"
                       "  memory 1.0 GiB: execution 300.0 MiB, storage 0 B, unmanaged 176.0 KiB,\n"
                       "    free 723.8 MiB; 1 active task\n"));
  process.pools.storage_used_bytes = 800 << 20;
  process.pools.overdrawn_bytes = 5 << 20;
  process.pools.active_tasks = 2;
  EXPECT_THAT(FormatTables({process}, PoolLines::kAll, 80),
              EndsWith("\n  memory 1.0 GiB: execution 300.0 MiB, storage 800.0 MiB, unmanaged "
                       "176.0 KiB,\n    overdrawn 5.0 MiB, free 0 B; 2 active tasks\n"));
  process.pools = {};
  EXPECT_THAT(FormatTables({process}, PoolLines::kAll, 80),
              EndsWith("\n  memory unlimited: execution 0 B, storage 0 B, unmanaged 0 B; 0 active "
                       "tasks\n"));
}

TEST(FormatTables, IsSilentAboutPoolsThatSuffice) {
  ProcessStats process = ProcessWithPools();
  EXPECT_THAT(FormatTables({process}, PoolLines::kWhereShort, 80), Not(HasSubstr("memory")));
  process.refusals = 1;
  EXPECT_THAT(FormatTables({process}, PoolLines::kWhereShort, 80),
              HasSubstr("\n  memory 1.0 GiB: "));
  process.refusals = 0;
  process.pools.overdrawn_bytes = 1;
  EXPECT_THAT(FormatTables({process}, PoolLines::kWhereShort, 80), HasSubstr("overdrawn 1 B, "));
}

TEST(FormatTables, ATaskOfAThreadShowsItsTid) {
  constexpr uint64_t kFirst = uint64_t{1} << 48;
  constexpr uint64_t kEnd = kFirst + (uint64_t{1} << 32);
  ProcessStats process = Process();
  for (const uint64_t id : {kFirst - 1, kFirst + 1234, kEnd - 1, kEnd}) {
    process.tasks.push_back(Task(id, "t", 0));
  }
  const std::string table = FormatTables({process}, PoolLines::kWhereShort, 80);
  EXPECT_THAT(table, HasSubstr("  281474976710655  t "));
  EXPECT_THAT(table, HasSubstr("         tid 1234  t "));
  EXPECT_THAT(table, HasSubstr("   tid 4294967295  t "));
  EXPECT_THAT(table, HasSubstr("  281479271677952  t "));
  const auto json = nlohmann::json::parse(FormatJson(process, {}));
  EXPECT_EQ(json["tasks"][1]["task_id"], kFirst + 1234);
}

TEST(FormatTables, StaysNarrow) {
  ProcessStats process = Process();
  TaskStats task = Task(UINT64_MAX - 1, "a name that is as long as a name can be, nearly", 0);
  for (uint64_t* bytes : {&task.charged_bytes, &task.peak_charged_bytes, &task.retained_bytes,
                          &task.peak_overdraft_bytes}) {
    *bytes = uint64_t{1000} << 30;
  }
  task.id = 4000000000;
  task.quota_bytes = uint64_t{1000} << 30;
  process.tasks.push_back(task);
  task.name = "stage 17.0, partition 4 of a very long name, attempt 3";
  process.tasks.push_back(task);
  for (const size_t columns : {80, 120}) {
    std::istringstream lines(FormatTables({process}, PoolLines::kWhereShort, columns));
    // An ellipsis is one column of three bytes.
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), columns + 2) << line;
  }
  // What tells names apart is often at their ends.
  EXPECT_THAT(FormatTables({process}, PoolLines::kWhereShort, 80), HasSubstr("mpt 3 "));
}

TEST(FormatTables, SumsUpWhatIsTooMuch) {
  ProcessStats process = Process();
  for (uint64_t id = 1; id <= 30; ++id) process.tasks.push_back(Task(id, "t", 1 << 20));
  const std::string table = FormatTables({process}, PoolLines::kWhereShort, 80);
  EXPECT_THAT(table, HasSubstr("… 10 more tasks"));
  EXPECT_THAT(table, HasSubstr("10.0 MiB"));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 1 + 1 + 20 + 1 + 2);
}

TEST(FormatTables, TheReserveIsARowWhereItHeldMuch) {
  ProcessStats process = Process();
  process.tasks.push_back(Task(1, "t", 1 << 20));
  process.tasks.push_back(Task(0, "spill reserve", 160));
  process.tasks.back().id.reset();
  process.tasks.back().is_reserve = true;
  EXPECT_THAT(FormatTables({process}, PoolLines::kWhereShort, 80), Not(HasSubstr("reserve")));
  process.tasks.back().peak_charged_bytes = 64 << 10;
  EXPECT_THAT(FormatTables({process}, PoolLines::kWhereShort, 80), HasSubstr("-  spill reserve"));
}

ProcessStats Child(pid_t pid, uint64_t peak) {
  ProcessStats child = Process();
  child.pid = pid;
  child.program = "/bin/sed";
  child.charged_bytes = 1 << 10;
  child.peak_charged_bytes = peak;
  return child;
}

TEST(FormatTables, ChildrenThatHeldLittleShareALine) {
  std::vector<ProcessStats> processes = {Process()};
  for (pid_t pid = 1; pid <= 33; ++pid) processes.push_back(Child(pid, 100 << 10));
  const std::string table = FormatTables(processes, PoolLines::kWhereShort, 80);
  EXPECT_THAT(table, StartsWith("taskmem: prog, pid 4711"));
  EXPECT_THAT(table, EndsWith("taskmem: … 33 more processes, 33.0 KiB in all; the largest, "
                              "sed (pid 1),\n    peak 100.0 KiB\n"));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 1 + 1 + 2 + 2);
}

TEST(FormatTables, ChildrenThatHeldMuchHaveATable) {
  std::vector<ProcessStats> processes = {Process(), Child(1, 40 << 20), Child(2, 4 << 20)};
  processes.push_back(Child(3, 1));
  processes.back().refusals = 1;
  const std::string table = FormatTables(processes, PoolLines::kWhereShort, 80);
  EXPECT_THAT(table, HasSubstr("sed, pid 1,"));
  EXPECT_THAT(table, HasSubstr("sed, pid 3,"));
  EXPECT_THAT(table, HasSubstr("1 more process, 1.0 KiB in all; the largest, sed (pid 2)"));
  // No more than three of them.
  for (pid_t pid = 4; pid <= 6; ++pid) processes.push_back(Child(pid, 40 << 20));
  const std::string more = FormatTables(processes, PoolLines::kWhereShort, 80);
  EXPECT_THAT(more, HasSubstr("sed, pid 4,"));
  EXPECT_THAT(more, Not(HasSubstr("sed, pid 5,")));
  EXPECT_THAT(more, HasSubstr("3 more processes, "));
  // The program comes first, whoever held most.
  EXPECT_THAT(table, StartsWith("taskmem: prog, pid 4711"));
}

TEST(FormatTables, SaysNowForALiveProcess) {
  ProcessStats process = Process();
  process.is_alive = true;
  EXPECT_THAT(FormatTables({process}, PoolLines::kWhereShort, 80), HasSubstr("  now\n"));
  EXPECT_THAT(FormatTables({process}, PoolLines::kWhereShort, 80), Not(HasSubstr("at exit")));
}

TEST(FormatProcessList, HasALineForEach) {
  ProcessStats process = Process();
  process.tasks.push_back(Task(1, "t", 1 << 20));
  EXPECT_EQ(FormatProcessList({process}, 80),
            "   pid  program  charged     peak  resident  tasks  untracked\n"
            "  4711  prog     3.0 MiB  9.0 MiB   5.0 MiB      1    1.0 MiB\n");
}

TEST(FormatProcessListJson, HasAnEntryForEach) {
  ProcessStats process = Process();
  process.tasks.push_back(Task(1, "t", 1 << 20));
  const auto json = nlohmann::json::parse(FormatProcessListJson({process, process}));
  EXPECT_EQ(json["schema"], "taskmem-ps-1");
  ASSERT_EQ(json["processes"].size(), 2u);
  EXPECT_EQ(json["processes"][0]["pid"], 4711);
  EXPECT_EQ(json["processes"][0]["charged_bytes"], 3 << 20);
  EXPECT_EQ(json["processes"][0]["task_count"], 1);
}

TEST(FormatJson, HasEveryField) {
  ProcessStats process = Process();
  TaskStats task = Task(UINT64_MAX - 1, "q", 100);
  task.quota_bytes = 64;
  task.overdraft_bytes = 36;
  task.granted_bytes = 128;
  process.tasks.push_back(task);
  process.tasks.push_back(TaskStats{});
  const auto json = nlohmann::json::parse(FormatJson(process, {Process()}));
  EXPECT_EQ(json["schema"], "taskmem-stats-1");
  EXPECT_TRUE(json["taskmem_version"].is_string());
  EXPECT_EQ(json["time"].get<std::string>().size(), strlen("2026-01-31T12:00:00Z"));
  EXPECT_EQ(json["process"]["pid"], 4711);
  EXPECT_EQ(json["process"]["program"], "/usr/bin/prog");
  EXPECT_TRUE(json["process"]["end"].is_null());
  for (const char* name : {"charged_bytes", "peak_charged_bytes", "untracked_bytes",
                           "resident_bytes", "peak_resident_bytes", "refusals"}) {
    EXPECT_TRUE(json["process"][name].is_number_unsigned()) << name;
  }
  for (const char* name :
       {"execution_size_bytes", "execution_used_bytes", "storage_size_bytes", "storage_used_bytes",
        "unmanaged_bytes", "overdrawn_bytes", "active_tasks"}) {
    EXPECT_TRUE(json["pools"][name].is_number_unsigned()) << name;
  }
  EXPECT_TRUE(json["pools"]["memory_bytes"].is_null());
  ASSERT_EQ(json["tasks"].size(), 2u);
  EXPECT_EQ(json["tasks"][0]["task_id"], UINT64_MAX - 1);
  EXPECT_EQ(json["tasks"][0]["quota_bytes"], 64);
  EXPECT_EQ(json["tasks"][0]["granted_bytes"], 128);
  for (const char* name :
       {"charged_bytes", "peak_charged_bytes", "retained_bytes", "refusals", "overdraft_bytes",
        "peak_overdraft_bytes", "overdrafts", "threads", "pages"}) {
    EXPECT_TRUE(json["tasks"][0][name].is_number_unsigned()) << name;
  }
  EXPECT_TRUE(json["tasks"][1]["task_id"].is_null());
  EXPECT_TRUE(json["tasks"][1]["quota_bytes"].is_null());
  EXPECT_TRUE(json["tasks"][1]["granted_bytes"].is_null());
  ASSERT_EQ(json["children"].size(), 1u);
  EXPECT_EQ(json["children"][0]["process"]["pid"], 4711);
  EXPECT_EQ(json["children"][0]["children"].size(), 0u);
}

TEST(FormatJson, LimitedMemoryIsANumber) {
  const auto json = nlohmann::json::parse(FormatJson(ProcessWithPools(), {ProcessWithPools()}));
  EXPECT_EQ(json["pools"]["memory_bytes"], 1 << 30);
  EXPECT_EQ(json["children"][0]["pools"]["execution_used_bytes"], 300 << 20);
}

TEST(FormatJson, AnyBytesMayBeAName) {
  ProcessStats process = Process();
  process.tasks.push_back(Task(1, "\xff\xfe\n\"", 0));
  EXPECT_TRUE(nlohmann::json::accept(FormatJson(process, {})));
}

TEST(FormatReclaim, NamesWhatWasDoneAndNothingElse) {
  TaskStats idle = Task(1, "idle", 1);
  idle.reclaim.stalls = 4;  // collecting alone
  TaskStats busy = Task(2, "busy", 1);
  busy.reclaim = {.spill_calls = 3,
                  .spill_asked_bytes = 4 << 20,
                  .spill_freed_bytes = 3 << 20,
                  .stalls = 3,
                  .stall_ns = 2'500'000,
                  .longest_stall_ns = 1'250'000,
                  .evicted_blocks = 1,
                  .evicted_bytes = 1 << 20};
  EXPECT_EQ(FormatReclaim({idle, busy}, 80),
            "  busy: hooks freed 3.0 MiB of 4.0 MiB they were asked for, 3 times;\n"
            "    evicted 1.0 MiB in 1 block; stalled 3 times, 2.5 ms, longest 1.2 ms\n");
  EXPECT_EQ(FormatReclaim({idle}, 80), "");
}

TEST(FormatReclaim, ShowsOverflowWaitsAndTheDisk) {
  TaskStats task = Task(2, "t", 1);
  task.reclaim = {.soft_spill_calls = 1,
                  .soft_spill_asked_bytes = 2 << 10,
                  .soft_spill_freed_bytes = 1 << 10,
                  .stalls = 1,
                  .written_bytes = 5 << 10,
                  .read_bytes = 6 << 10,
                  .overflow_bytes = 7 << 10,
                  .peak_overflow_bytes = 8 << 10,
                  .pushed_out_bytes = 9 << 10,
                  .returned_bytes = 10 << 10,
                  .waits = 2,
                  .wait_ns = 3'000'000};
  EXPECT_EQ(FormatReclaim({task}, 80),
            "  t: at the soft limit hooks freed 1.0 KiB of 2.0 KiB they were asked for, once;\n"
            "    wrote 5.0 KiB; read 6.0 KiB back; overflow 7.0 KiB, peak 8.0 KiB,\n"
            "    out 9.0 KiB, back 10.0 KiB; waited 2 times, 3.0 ms; stalled once, 0.0 ms,\n"
            "    longest 0.0 ms\n");
}

TEST(FormatReclaim, CutsAVeryLongList) {
  std::vector<TaskStats> tasks;
  for (uint64_t id = 0; id < 30; ++id) {
    tasks.push_back(Task(id, "t", 1));
    tasks.back().reclaim.written_bytes = 1;
  }
  EXPECT_THAT(FormatReclaim(tasks, 80), EndsWith("  … 10 more tasks had room made for them\n"));
}

TEST(FormatJson, HasWhatWasDoneToMakeRoom) {
  ProcessStats process = Process();
  process.tasks.push_back(Task(2, "t", 1));
  process.tasks.back().reclaim.spill_calls = 9;
  const auto json = nlohmann::json::parse(FormatJson(process, {}));
  EXPECT_EQ(json["tasks"][0]["reclaim"]["spill_calls"], 9);
  EXPECT_EQ(json["tasks"][0]["reclaim"].size(), 19u);
}

}  // namespace
}  // namespace taskmem
