#include "shim/published/stats_segment.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "shim/base/os.h"
#include "shim/options/options.h"
#include "shim/published/stats_end.h"
#include "shim/published/stats_fork.h"
#include "shim/published/stats_place.h"
#include "shim/published/stats_publish.h"
#include "shim/published/stats_room.h"

namespace taskmem {
namespace {

// The segment is one for a process: every test has a process of its own.
class StatsSegmentTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(dir_); }

  // Whether `body`, run in a child, returns true and prints what is expected.
  void ExpectInChild(const std::function<bool()>& body, const char* output) {
    EXPECT_EXIT(_exit(StatsOpen() && body() ? 0 : 1), testing::ExitedWithCode(0), output);
  }

  void Publish() const {
    Options options;
    snprintf(options.stats_dir, sizeof(options.stats_dir), "%s", dir_.c_str());
    StatsPublish(options);
  }

  // The only file there is, or an empty path.
  std::filesystem::path File() const {
    std::error_code error;
    std::filesystem::path found;
    for (const auto& entry : std::filesystem::directory_iterator(dir_, error)) found = entry;
    return found;
  }

  uint64_t StallsInFile(uint32_t slot) const {
    return InFile(kReclaimOffset + slot * sizeof(ReclaimBook) + offsetof(ReclaimBook, stalls));
  }
  uint64_t ChargedInFile(uint32_t slot) const {
    return InFile(kTasksOffset + slot * sizeof(TaskBook));
  }

  // The 64-bit number at `offset` of the file.
  uint64_t InFile(size_t offset) const {
    std::ifstream file(File(), std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    uint64_t number = 0;
    file.read(reinterpret_cast<char*>(&number), sizeof(number));
    return number;
  }

  const std::string dir_ = testing::TempDir() + "/segment-" + std::to_string(getpid());
};

TEST_F(StatsSegmentTest, TheFileHasWhatWasChargedBeforeAndAfter) {
  ExpectInChild(
      [this] {
        constexpr uint32_t kSlot = kFirstTaskSlot;
        StatsReserveTasks(kSlot + 1);
        g_stats->task_slots = kSlot + 1;
        g_books[kSlot].ChargeOverQuota(5);
        g_reclaim_books[kSlot].stalls = 3;
        Publish();
        if (ChargedInFile(kSlot) != 5 || StallsInFile(kSlot) != 3) return false;
        g_books[kSlot].ChargeOverQuota(6);
        StatsReserveTasks(5001);
        g_books[5000].ChargeOverQuota(7);
        g_reclaim_books[5000].stalls = 8;
        return ChargedInFile(kSlot) == 11 && StallsInFile(5000) == 8 && ChargedInFile(5000) == 7 &&
               File().filename().string().starts_with(std::to_string(getpid()) + "-");
      },
      "");
}

TEST_F(StatsSegmentTest, WhatNoTaskOwnsDrawsOnNoPool) {
  ExpectInChild(
      [] {
        for (uint32_t slot = 0; slot < kFirstTaskSlot; ++slot) {
          if (g_books[slot].granted_bytes != kNoPool) return false;
          if (g_books[slot].TryCharge(uint64_t{1} << 50) != ChargeOutcome::kCharged) return false;
        }
        return g_books[kFirstTaskSlot].granted_bytes == 0;
      },
      "");
}

TEST_F(StatsSegmentTest, TheFileShowsThePools) {
  ExpectInChild(
      [this] {
        constexpr size_t kPools = offsetof(StatsHeader, pools);
        g_stats->pools.memory_bytes = 1000;
        Publish();
        g_stats->pools.execution_used_bytes = 200;
        g_stats->pools.active_tasks = 3;
        return InFile(kPools + offsetof(PoolStats, memory_bytes)) == 1000 &&
               InFile(kPools + offsetof(PoolStats, execution_used_bytes)) == 200 &&
               InFile(kPools + offsetof(PoolStats, active_tasks)) == 3;
      },
      "");
}

TEST_F(StatsSegmentTest, TheFileGoesWithItsProcessUnlessARunWaitsForIt) {
  ExpectInChild(
      [this] {
        unsetenv("TASKMEM_SESSION");
        Publish();
        StatsAtExit();
        return File().empty();
      },
      "");
  ExpectInChild(
      [this] {
        setenv("TASKMEM_SESSION", "a run", 1);
        Publish();
        StatsAtExit();
        return !File().empty();
      },
      "");
}

TEST_F(StatsSegmentTest, AForkedChildHasBooksOfItsOwn) {
  ExpectInChild(
      [this] {
        g_books[0].ChargeOverQuota(5);
        Publish();
        const pid_t child = fork();
        if (child == 0) {
          if (HasOwnBooks() || IsVforkChild()) _exit(2);
          g_fork_page->books.store(Books::kTaking);
          if (!StatsAfterFork()) _exit(3);
          g_fork_page->books.store(Books::kUnlisted);
          g_books[0].ChargeOverQuota(6);
          _exit(g_books[0].charged_bytes == 11 &&
                        g_stats->pid == static_cast<uint32_t>(os::ProcessId()) && !IsListed()
                    ? 0
                    : 1);
        }
        int status = 1;
        waitpid(child, &status, 0);
        return status == 0 && g_books[0].charged_bytes == 5;
      },
      "");
}

TEST_F(StatsSegmentTest, WhereFilesMustBeSmallTheBooksStayPrivate) {
  ExpectInChild(
      [this] {
        const rlimit limit = {4096, 4096};
        setrlimit(RLIMIT_FSIZE, &limit);
        Publish();
        g_books[0].ChargeOverQuota(5);
        return File().empty() && g_books[0].charged_bytes == 5;
      },
      "^taskmem: cannot size the stats file in ");
}

TEST_F(StatsSegmentTest, WithoutAFolderTheBooksStayPrivate) {
  ExpectInChild(
      [] {
        Options options;
        snprintf(options.stats_dir, sizeof(options.stats_dir), "/nowhere/at/all");
        StatsPublish(options);
        g_books[0].ChargeOverQuota(5);
        return g_books[0].charged_bytes == 5;
      },
      "^taskmem: cannot create the stats file in /nowhere/at/all");
}

}  // namespace
}  // namespace taskmem
