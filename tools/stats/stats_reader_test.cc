#include "tools/stats/stats_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "accounting/audit/stats_layout.h"
#include "tools/base/process_info.h"
#include "tools/stats/left_overs.h"
#include "tools/stats/run_session.h"
#include "tools/stats/stats_files.h"

namespace taskmem {
namespace {

// A stats folder, and files in it as the preload library writes them.
class StatsReaderTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(dir_); }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  StatsHeader* MakeFile(const std::string& name, pid_t pid, uint64_t start_time) {
    const std::string path = dir_ + "/" + name;
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    EXPECT_EQ(ftruncate(fd, kStatsBytes), 0);
    void* start = mmap(nullptr, kStatsBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    auto* header = static_cast<StatsHeader*>(start);
    header->magic = kStatsMagic;
    header->version = kStatsVersion;
    header->pid = static_cast<uint32_t>(pid);
    header->start_time = start_time;
    strcpy(header->program, "/usr/bin/prog");
    header->task_slots = kFirstTaskSlot;
    return header;
  }

  static TaskBook& Book(StatsHeader* header, uint32_t slot) {
    return reinterpret_cast<TaskBook*>(reinterpret_cast<char*>(header) + kTasksOffset)[slot];
  }

  static TaskBook& AddTask(StatsHeader* header, uint64_t id, const char* name, TaskState state,
                           uint64_t charged, uint64_t quota) {
    TaskBook& book = Book(header, header->task_slots++);
    book.task_id = id;
    book.state = state;
    book.charged_bytes = charged;
    book.peak_charged_bytes = charged;
    book.quota_bytes = quota;
    strcpy(book.name, name);
    return book;
  }

  static ReclaimBook& Reclaim(StatsHeader* header, uint32_t slot) {
    return reinterpret_cast<ReclaimBook*>(reinterpret_cast<char*>(header) + kReclaimOffset)[slot];
  }

  static void Attach(StatsHeader* header, uint32_t slot) {
    auto* threads =
        reinterpret_cast<ThreadEntry*>(reinterpret_cast<char*>(header) + kThreadsOffset);
    threads[header->thread_entries++].slot_plus_one = slot + 1;
  }

  const std::string dir_ = testing::TempDir() + "/stats-" + std::to_string(getpid());
};

TEST_F(StatsReaderTest, BelievesNoFileOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make a file another's";
  MakeFile("own", getpid(), *StartTime(getpid()));
  EXPECT_EQ(ReadStatsDir(dir_).size(), 1u);
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(chown((dir_ + "/own").c_str(), kNobody, kNobody), 0);
  EXPECT_TRUE(ReadStatsDir(dir_).empty());
}

// No process has started at that time.
constexpr uint64_t kNever = UINT64_MAX;

TEST_F(StatsReaderTest, ReadsWhatWasDoneToMakeRoom) {
  StatsHeader* header = MakeFile("a", 1, kNever);
  AddTask(header, 7, "seven", TaskState::kLive, 10, kNoQuota);
  ReclaimBook& book = Reclaim(header, kFirstTaskSlot);
  book.spill_calls = 3;
  book.longest_stall_ns = 11;
  book.overflow_bytes = 4096;
  book.wait_ns = 12;
  Book(header, kStorageSlot).charged_bytes = 20;
  Book(header, kSpillReserveSlot).charged_bytes = 30;
  strcpy(Book(header, kStorageSlot).name, "storage");
  const auto process = ReadStatsFile(dir_ + "/a");
  ASSERT_TRUE(process);
  ASSERT_EQ(process->tasks.size(), 3u);
  // The reserve, the storage, the task: in order of size.
  EXPECT_EQ(process->tasks[1].name, "storage");
  EXPECT_FALSE(process->tasks[1].id);
  EXPECT_TRUE(process->tasks[0].is_reserve);
  EXPECT_FALSE(process->tasks[1].is_reserve);
  EXPECT_EQ(process->tasks[2].reclaim.spill_calls, 3u);
  EXPECT_EQ(process->tasks[2].reclaim.longest_stall_ns, 11u);
  EXPECT_EQ(process->tasks[2].reclaim.overflow_bytes, 4096u);
  EXPECT_EQ(process->tasks[2].reclaim.wait_ns, 12u);
  EXPECT_EQ(process->pools.unmanaged_bytes, 30u);
}

TEST_F(StatsReaderTest, ReadsTheBooks) {
  StatsHeader* header = MakeFile("a", 1, kNever);
  strcpy(header->session, "s");
  header->peak_charged_bytes = 1000;
  header->resident_bytes_at_exit = 70;
  header->peak_resident_bytes = 80;
  Book(header, kUntrackedSlot).charged_bytes = 5;
  AddTask(header, 7, "seven", TaskState::kLive, 100, kNoQuota);
  TaskBook& limited = AddTask(header, 8, "eight", TaskState::kEnded, 300, 256);
  limited.refusals = 3;
  limited.overdrafts = 2;
  limited.peak_charged_bytes = 200;
  AddTask(header, 9, "free", TaskState::kFree, 0, kNoQuota);
  Attach(header, kFirstTaskSlot);
  Attach(header, kFirstTaskSlot);
  Attach(header, kUntrackedSlot);

  const auto process = ReadStatsFile(dir_ + "/a");
  ASSERT_TRUE(process);
  EXPECT_FALSE(process->is_alive);
  EXPECT_EQ(process->session, "s");
  EXPECT_EQ(process->program, "/usr/bin/prog");
  EXPECT_EQ(process->charged_bytes, 405u);
  EXPECT_EQ(process->peak_charged_bytes, 1000u);
  EXPECT_EQ(process->untracked_bytes, 5u);
  EXPECT_EQ(process->resident_bytes, 70u);
  EXPECT_EQ(process->peak_resident_bytes, 80u);
  EXPECT_EQ(process->refusals, 3u);
  ASSERT_EQ(process->tasks.size(), 2u);

  const TaskStats& eight = process->tasks[0];
  EXPECT_EQ(eight.id, 8u);
  EXPECT_EQ(eight.name, "eight");
  EXPECT_EQ(eight.quota_bytes, 256u);
  EXPECT_EQ(eight.peak_charged_bytes, 300u) << "never less than charged";
  EXPECT_EQ(eight.retained_bytes, 300u);
  EXPECT_EQ(eight.overdraft_bytes, 44u);
  EXPECT_EQ(eight.peak_overdraft_bytes, 44u);
  EXPECT_EQ(eight.overdrafts, 2u);

  const TaskStats& seven = process->tasks[1];
  EXPECT_EQ(seven.id, 7u);
  EXPECT_EQ(seven.quota_bytes, std::nullopt);
  EXPECT_EQ(seven.retained_bytes, 0u);
  EXPECT_EQ(seven.threads, 2u);
}

TEST_F(StatsReaderTest, ReadsThePools) {
  StatsHeader* header = MakeFile("a", 1, kNever);
  header->tasks_folded = 1;
  header->pools.memory_bytes = 1000;
  header->pools.execution_size_bytes = 600;
  header->pools.execution_used_bytes = 300;
  header->pools.storage_size_bytes = 400;
  header->pools.storage_used_bytes = 200;
  header->pools.overdrawn_bytes = 20;
  header->pools.active_tasks = 2;
  Book(header, kUntrackedSlot).charged_bytes = 5;
  Book(header, kEndedTasksSlot).charged_bytes = 6;
  Book(header, kEndedTasksSlot).granted_bytes = kNoPool;
  AddTask(header, 7, "seven", TaskState::kLive, 100, kNoQuota).granted_bytes = 300;

  const auto process = ReadStatsFile(dir_ + "/a");
  ASSERT_TRUE(process);
  const PoolUsage& pools = process->pools;
  EXPECT_EQ(pools.memory_bytes, 1000u);
  EXPECT_EQ(pools.execution_size_bytes, 600u);
  EXPECT_EQ(pools.execution_used_bytes, 300u);
  EXPECT_EQ(pools.storage_size_bytes, 400u);
  EXPECT_EQ(pools.storage_used_bytes, 200u);
  EXPECT_EQ(pools.unmanaged_bytes, 11u);
  EXPECT_EQ(pools.overdrawn_bytes, 20u);
  EXPECT_EQ(pools.active_tasks, 2u);
  ASSERT_EQ(process->tasks.size(), 2u);
  EXPECT_EQ(process->tasks[0].granted_bytes, 300u);
  EXPECT_EQ(process->tasks[1].granted_bytes, std::nullopt);
}

TEST_F(StatsReaderTest, MemoryMayBeUnlimitedOrNotKnownYet) {
  StatsHeader* header = MakeFile("a", 1, kNever);
  EXPECT_EQ(ReadStatsFile(dir_ + "/a")->pools.memory_bytes, std::nullopt);
  EXPECT_FALSE(ReadStatsFile(dir_ + "/a")->pools.is_memory_known);
  header->pools.memory_bytes = kNoPool;
  EXPECT_EQ(ReadStatsFile(dir_ + "/a")->pools.memory_bytes, std::nullopt);
  EXPECT_TRUE(ReadStatsFile(dir_ + "/a")->pools.is_memory_known);
}

TEST_F(StatsReaderTest, PeakOfTheProcessIsNeverLessThanCharged) {
  StatsHeader* header = MakeFile("a", 1, kNever);
  AddTask(header, 1, "", TaskState::kLive, 500, kNoQuota);
  header->peak_charged_bytes = 400;
  EXPECT_EQ(ReadStatsFile(dir_ + "/a")->peak_charged_bytes, 500u);
}

TEST_F(StatsReaderTest, PeakOfTheProcessIsNeverLessThanThatOfABook) {
  StatsHeader* header = MakeFile("a", 1, kNever);
  AddTask(header, 1, "", TaskState::kLive, 100, kNoQuota).peak_charged_bytes = 600;
  header->peak_charged_bytes = 400;
  EXPECT_EQ(ReadStatsFile(dir_ + "/a")->peak_charged_bytes, 600u);
  Book(header, kUntrackedSlot).peak_charged_bytes = 700;
  EXPECT_EQ(ReadStatsFile(dir_ + "/a")->peak_charged_bytes, 700u);
  header->peak_charged_bytes = 800;
  EXPECT_EQ(ReadStatsFile(dir_ + "/a")->peak_charged_bytes, 800u);
}

TEST_F(StatsReaderTest, EndedTasksShowOnceThereAreSome) {
  StatsHeader* header = MakeFile("a", 1, kNever);
  EXPECT_TRUE(ReadStatsFile(dir_ + "/a")->tasks.empty());
  header->tasks_folded = 2;
  Book(header, kEndedTasksSlot).charged_bytes = 64;
  const auto process = ReadStatsFile(dir_ + "/a");
  ASSERT_EQ(process->tasks.size(), 1u);
  EXPECT_EQ(process->tasks[0].id, std::nullopt);
  EXPECT_EQ(process->tasks[0].name, "ended tasks");
  EXPECT_EQ(process->tasks[0].retained_bytes, 64u);
}

TEST_F(StatsReaderTest, ANameThatChangesForEverIsReadAllTheSame) {
  StatsHeader* header = MakeFile("a", 1, kNever);
  AddTask(header, 1, "half", TaskState::kLive, 500, kNoQuota).sequence = 1;
  EXPECT_EQ(ReadStatsFile(dir_ + "/a")->tasks[0].name, "half");
}

TEST_F(StatsReaderTest, RejectsOtherFiles) {
  std::ofstream(dir_ + "/short") << "short";
  MakeFile("magic", 1, kNever)->magic = 0;
  MakeFile("version", 1, kNever)->version = kStatsVersion + 1;
  MakeFile("older", 1, kNever)->version = kStatsVersion - 1;
  MakeFile("slots", 1, kNever)->task_slots = kMaxTaskSlots + 1;
  EXPECT_TRUE(ReadStatsDir(dir_).empty());
  EXPECT_FALSE(ReadStatsFile(dir_ + "/absent"));
  EXPECT_TRUE(ReadStatsDir(dir_ + "/absent").empty());
}

TEST_F(StatsReaderTest, ALiveProcessShowsWhatIsResidentNow) {
  MakeFile("self", getpid(), *StartTime(getpid()));
  const auto process = ReadStatsFile(dir_ + "/self");
  EXPECT_TRUE(process->is_alive);
  EXPECT_GT(process->resident_bytes, 0u);
  EXPECT_GE(process->peak_resident_bytes, process->resident_bytes);
}

TEST_F(StatsReaderTest, SortsBySize) {
  MakeFile("small", 1, kNever)->peak_charged_bytes = 1;
  MakeFile("large", 2, kNever)->peak_charged_bytes = 3;
  MakeFile("middle", 3, kNever)->peak_charged_bytes = 2;
  const auto files = ReadStatsDir(dir_);
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].process.pid, 2);
  EXPECT_EQ(files[1].process.pid, 3);
  EXPECT_EQ(files[2].process.pid, 1);
}

TEST_F(StatsReaderTest, WhatNobodyWaitsForIsLeftOver) {
  MakeFile("live", getpid(), *StartTime(getpid()));
  MakeFile("reused-pid", getpid(), *StartTime(getpid()) - 1);
  MakeFile("dead", 1, kNever);
  strcpy(MakeFile("awaited", 1, kNever)->session, NewSession().c_str());
  strcpy(MakeFile("abandoned", 1, kNever)->session, "1-18446744073709551615-0");
  // Read, and removed before anybody asks.
  MakeFile("removed", 1, kNever);
  const auto files = ReadStatsDir(dir_);
  std::filesystem::remove(dir_ + "/removed");
  std::set<std::string> left;
  for (const StatsFile& file : files) {
    if (IsLeftOver(file)) left.insert(std::filesystem::path(file.path).filename());
  }
  EXPECT_EQ(left, (std::set<std::string>{"reused-pid", "dead", "abandoned"}));
}

// Makes the file look as if it had been met first so long ago.
void MakeOlder(const std::string& path, time_t seconds) {
  const timespec time = {::time(nullptr) - seconds, 0};
  const timespec times[] = {time, time};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

TEST_F(StatsReaderTest, WhatIsLeftOverStaysForADayAfterItsFirstLook) {
  MakeFile("live", getpid(), *StartTime(getpid()));
  MakeFile("dead", 1, kNever);
  // The process began long ago: that does not count.
  MakeOlder(dir_ + "/dead", 10 * kLeftOverSeconds);
  TidyLeftOvers(ReadStatsDir(dir_));
  ASSERT_TRUE(std::filesystem::exists(dir_ + "/dead"));
  MakeOlder(dir_ + "/dead", kLeftOverSeconds - 60);
  MakeOlder(dir_ + "/live", 10 * kLeftOverSeconds);
  TidyLeftOvers(ReadStatsDir(dir_));
  ASSERT_TRUE(std::filesystem::exists(dir_ + "/dead"));
  MakeOlder(dir_ + "/dead", kLeftOverSeconds + 60);
  TidyLeftOvers(ReadStatsDir(dir_));
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/dead"));
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/live"));
}

TEST_F(StatsReaderTest, OfManyLeftOversTheOldestGo) {
  for (size_t i = 0; i < kMostLeftOvers + 2; ++i) {
    MakeFile("dead-" + std::to_string(i), 1, kNever);
  }
  TidyLeftOvers(ReadStatsDir(dir_));
  EXPECT_EQ(ReadStatsDir(dir_).size(), kMostLeftOvers);
  MakeFile("old", 1, kNever);
  TidyLeftOvers(ReadStatsDir(dir_));
  const auto files = ReadStatsDir(dir_);
  EXPECT_EQ(files.size(), kMostLeftOvers);
  MakeOlder(files[0].path, 100);
  MakeFile("new", 1, kNever);
  TidyLeftOvers(ReadStatsDir(dir_));
  EXPECT_FALSE(std::filesystem::exists(files[0].path));
  EXPECT_TRUE(std::filesystem::exists(dir_ + "/new"));
}

TEST(Session, FitsTheHeaderAndIsAlive) {
  const std::string session = NewSession();
  EXPECT_LT(session.size(), sizeof(StatsHeader::session));
  EXPECT_TRUE(IsSessionAlive(session));
  EXPECT_FALSE(IsSessionAlive(""));
  EXPECT_NE(session, NewSession());
}

}  // namespace
}  // namespace taskmem
