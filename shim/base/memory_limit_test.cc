#include "shim/base/memory_limit.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

namespace taskmem {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr uint64_t kReserve = 300 * kMiB;

// A machine of files: /proc and /sys below a temporary folder.
class MemoryLimitTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& content) {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << content;
  }

  void SetMachine(uint64_t bytes) {
    Write("/proc/meminfo", "MemTotal:       " + std::to_string(bytes / 1024) +
                               " kB\nMemFree:         1234 kB\nMemAvailable:   5678 kB\n");
  }

  uint64_t Read() const { return MemoryBytesFrom(root_.c_str()); }

  const std::string root_ = testing::TempDir() + "/memory-limit-" + std::to_string(getpid());
};

TEST_F(MemoryLimitTest, NothingSaysAnything) { EXPECT_EQ(Read(), UINT64_MAX); }

TEST_F(MemoryLimitTest, TheMachineLessTheReserve) {
  SetMachine(16 * kGiB);
  EXPECT_EQ(Read(), 16 * kGiB - kReserve);
}

TEST_F(MemoryLimitTest, TheReserveIsAnEighthAtMost) {
  SetMachine(kGiB);
  EXPECT_EQ(Read(), kGiB - kGiB / 8);
  SetMachine(8 * kReserve);
  EXPECT_EQ(Read(), 7 * kReserve);
  SetMachine(8 * kReserve + 8 * kMiB);
  EXPECT_EQ(Read(), 7 * kReserve + 8 * kMiB);
}

TEST_F(MemoryLimitTest, AGroupOfVersion2) {
  SetMachine(16 * kGiB);
  Write("/proc/self/cgroup", "0::/system.slice/job.service\n");
  Write("/sys/fs/cgroup/system.slice/job.service/memory.max", "4294967296\n");
  EXPECT_EQ(Read(), 4 * kGiB - kReserve);
}

TEST_F(MemoryLimitTest, AGroupOfVersion1) {
  SetMachine(16 * kGiB);
  Write("/proc/self/cgroup",
        "12:pids:/other\n5:cpu,memory,misc:/docker/c0ffee\n1:name=systemd:/x\n");
  Write("/sys/fs/cgroup/memory/docker/c0ffee/memory.limit_in_bytes", "2147483648\n");
  EXPECT_EQ(Read(), 2 * kGiB - 2 * kGiB / 8);
}

TEST_F(MemoryLimitTest, OnlyTheControllerOfThatVeryNameCounts) {
  SetMachine(16 * kGiB);
  Write("/proc/self/cgroup", "3:memory2,xmemory:/a\n2:name=memory:/a\n1:mem:/a\n");
  Write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "2147483648\n");
  Write("/sys/fs/cgroup/a/memory.max", "2147483648\n");
  EXPECT_EQ(Read(), 16 * kGiB - kReserve);
}

TEST_F(MemoryLimitTest, TheSmallestOfTheGroupsAbove) {
  SetMachine(64 * kGiB);
  Write("/proc/self/cgroup", "0::/a/b/c\n");
  Write("/sys/fs/cgroup/a/b/c/memory.max", "34359738368\n");
  Write("/sys/fs/cgroup/a/b/memory.max", "8589934592\n");
  Write("/sys/fs/cgroup/a/memory.max", "17179869184\n");
  EXPECT_EQ(Read(), 8 * kGiB - kReserve);
  Write("/sys/fs/cgroup/a/memory.max", "4294967296\n");
  EXPECT_EQ(Read(), 4 * kGiB - kReserve);
  Write("/sys/fs/cgroup/a/b/c/memory.max", "3221225472\n");
  EXPECT_EQ(Read(), 3 * kGiB - kReserve);
}

TEST_F(MemoryLimitTest, InAContainerTheMountIsTheGroup) {
  SetMachine(64 * kGiB);
  Write("/sys/fs/cgroup/memory.max", "8589934592\n");
  Write("/proc/self/cgroup", "0::/\n");
  EXPECT_EQ(Read(), 8 * kGiB - kReserve);
  Write("/proc/self/cgroup", "0::/not/seen/from/here\n");
  EXPECT_EQ(Read(), 8 * kGiB - kReserve);
  Write("/proc/self/cgroup", "4:memory:/docker/not-seen\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "4294967296\n");
  EXPECT_EQ(Read(), 4 * kGiB - kReserve);
}

TEST_F(MemoryLimitTest, BothVersionsAtOnce) {
  SetMachine(64 * kGiB);
  Write("/proc/self/cgroup", "4:memory:/a\n0::/a\n");
  Write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8589934592\n");
  EXPECT_EQ(Read(), 8 * kGiB - kReserve);
  Write("/sys/fs/cgroup/a/memory.max", "4294967296\n");
  EXPECT_EQ(Read(), 4 * kGiB - kReserve);
}

TEST_F(MemoryLimitTest, WithoutALimitTheMachineCounts) {
  SetMachine(16 * kGiB);
  Write("/proc/self/cgroup", "4:memory:/a\n0::/a\n");
  Write("/sys/fs/cgroup/a/memory.max", "max\n");
  Write("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(Read(), 16 * kGiB - kReserve);
}

TEST_F(MemoryLimitTest, ALimitAboveTheMachineIsTheMachine) {
  SetMachine(2 * kGiB);
  Write("/proc/self/cgroup", "0::/a\n");
  Write("/sys/fs/cgroup/a/memory.max", "8589934592\n");
  EXPECT_EQ(Read(), 2 * kGiB - 2 * kGiB / 8);
}

TEST_F(MemoryLimitTest, AGroupWithoutAMachine) {
  Write("/proc/self/cgroup", "0::/a\n");
  Write("/sys/fs/cgroup/a/memory.max", "8589934592\n");
  EXPECT_EQ(Read(), 8 * kGiB - kReserve);
}

TEST_F(MemoryLimitTest, FilesThatMakeNoSenseSayNothing) {
  SetMachine(16 * kGiB);
  for (const char* groups :
       {"", "\n\n\n", ":", "::", "0", "0:", "0::", "0:memory", "no colon at all\n", "0::a/b\n",
        "memory:memory:memory\n", "0::////\n", "0::/..\n"}) {
    Write("/proc/self/cgroup", groups);
    EXPECT_EQ(Read(), 16 * kGiB - kReserve) << groups;
  }
  Write("/proc/self/cgroup", "0::/a\n");
  for (const char* limit : {"", "\n", "lots\n", "maximum", "\xff\xfe"}) {
    Write("/sys/fs/cgroup/a/memory.max", limit);
    EXPECT_EQ(Read(), 16 * kGiB - kReserve) << limit;
  }
  // A folder where a file should be.
  std::filesystem::remove(root_ + "/sys/fs/cgroup/a/memory.max");
  std::filesystem::create_directories(root_ + "/sys/fs/cgroup/a/memory.max");
  EXPECT_EQ(Read(), 16 * kGiB - kReserve);
}

TEST_F(MemoryLimitTest, AMachineThatMakesNoSenseHasNoLimit) {
  for (const char* info : {"", "MemFree: 100 kB\n", "MemTotal:\n", "MemTotal: much\n"}) {
    Write("/proc/meminfo", info);
    EXPECT_EQ(Read(), UINT64_MAX) << info;
  }
}

TEST_F(MemoryLimitTest, NoLineIsTooLong) {
  SetMachine(16 * kGiB);
  const std::string deep = "/" + std::string(200, 'd') + "/" + std::string(200, 'e');
  std::string groups;
  for (int i = 0; i < 100; ++i) groups += "7:" + std::string(300, 'x') + ":" + deep + "\n";
  Write("/proc/self/cgroup", groups + "0::" + std::string(3000, 'g') + "\n");
  EXPECT_EQ(Read(), 16 * kGiB - kReserve);
  Write("/proc/self/cgroup", "0::" + deep + "\n");
  Write("/sys/fs/cgroup" + deep + "/memory.max", "4294967296\n");
  EXPECT_EQ(Read(), 4 * kGiB - kReserve);
}

TEST(DefaultMemoryBytes, IsOfThisMachine) {
  struct sysinfo machine = {};
  ASSERT_EQ(sysinfo(&machine), 0);
  const uint64_t bytes = DefaultMemoryBytes();
  EXPECT_GT(bytes, 0u);
  EXPECT_LT(bytes, uint64_t{machine.totalram} * machine.mem_unit);
}

TEST(ResidentMemory, FollowsWhatIsTouched) {
  const uint64_t before = ResidentMemoryBytes();
  EXPECT_GT(before, 0u);
  constexpr size_t kBytes = 64 * kMiB;
  void* const got =
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(got, MAP_FAILED);
  EXPECT_LT(ResidentMemoryBytes(), before + kBytes / 2);
  memset(got, 1, kBytes);
  EXPECT_GE(ResidentMemoryBytes(), before + kBytes - kMiB);
  munmap(got, kBytes);
}

}  // namespace
}  // namespace taskmem
