// A spill directory on a disk that is full, broken, or gone, and processes that are killed
// while they write there: the program goes on, nothing torn is ever read, nothing stays.
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <random>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

namespace fs = std::filesystem;

struct DiskFault {
  std::string operation;
  std::string error;  // errno, or kill
  uint64_t after = 0;
};

void PrintTo(const DiskFault& fault, std::ostream* out) {
  *out << fault.operation << " " << fault.error << " after " << fault.after;
}

// A spill directory on such a disk, until the program repairs it.
class FailingDisk {
 public:
  Result Run(std::vector<std::string> arguments, const DiskFault& fault) {
    Command command;
    arguments.insert(arguments.begin(), "disk_faults");
    command.arguments = std::move(arguments);
    command.arguments[0] = ProgramPath(command.arguments[0]);
    command.more_preloads = {ProgramPath("failing_disk_library.so")};
    const std::string is_broken = other_.Write("broken", "");
    command.environment = {{"TASKMEM_STATS_DIR", other_.path()},
                           {"TASKMEM_MEMORY", "64M"},
                           {"TASKMEM_TASK_BY", "thread-name=^no such thread$"},
                           {"TASKMEM_SPILL_DIR", spill_.path()},
                           {"TASKMEM_SPILL_FSYNC", fault.operation == "sync" ? "on" : "off"},
                           {"TASKMEM_OVERFLOW", "0"},
                           {"FAILING_DISK_DIRECTORY", spill_.path()},
                           {"FAILING_DISK_OPERATION", fault.operation},
                           {"FAILING_DISK_ERROR", fault.error},
                           {"FAILING_DISK_AFTER", std::to_string(fault.after)},
                           {"FAILING_DISK_WHILE", is_broken}};
    return RunCommand(command);
  }

  bool IsEmpty() const { return fs::is_empty(spill_.path()); }

 private:
  TemporaryFolder spill_;
  TemporaryFolder other_;
};

class FailingDisks : public ::testing::TestWithParam<DiskFault> {};

TEST_P(FailingDisks, FailThatEvictionOnly) {
  FailingDisk disk;
  const Result result = disk.Run({"evict"}, GetParam());
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(disk.IsEmpty());
}

TEST_P(FailingDisks, FailThatPutOnly) {
  FailingDisk disk;
  const int error = std::stoi(GetParam().error);
  const bool is_full = error == ENOSPC || error == EDQUOT || error == EFBIG;
  const Result result = disk.Run({"put", std::to_string(is_full ? ENOSPC : EIO)}, GetParam());
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(disk.IsEmpty());
}

TEST_P(FailingDisks, LoseAndMixUpNothing) {
  FailingDisk disk;
  const Result result = disk.Run({"storm"}, GetParam());
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
  EXPECT_TRUE(disk.IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(, FailingDisks,
                         ::testing::Values(DiskFault{"write", std::to_string(ENOSPC)},
                                           DiskFault{"write", std::to_string(ENOSPC), 3500000},
                                           DiskFault{"write", std::to_string(EDQUOT), 1},
                                           DiskFault{"write", std::to_string(EIO), 5000000},
                                           DiskFault{"write", std::to_string(EFBIG), 1000000},
                                           // Not even the directory of the process.
                                           DiskFault{"open", std::to_string(EMFILE)},
                                           // That, but no file in it.
                                           DiskFault{"open", std::to_string(EROFS), 1},
                                           DiskFault{"rename", std::to_string(EIO)},
                                           DiskFault{"sync", std::to_string(EIO)},
                                           // The file, but not the directory.
                                           DiskFault{"sync", std::to_string(EIO), 1}));

TEST(KilledOnDisk, LeavesNothingForLong) {
  const uint64_t seed = std::random_device()();
  std::cout << "seed " << seed << "\n";
  std::mt19937_64 random(seed);
  FailingDisk disk;
  for (int round = 0; round < 20; ++round) {
    const bool by_bytes = random() % 2 == 0;
    const DiskFault fault = {by_bytes         ? "write"
                             : round % 4 == 0 ? "open"
                                              : "rename",
                             "kill", random() % (by_bytes ? 60000000 : 40)};
    const Result killed = disk.Run({"storm until killed"}, fault);
    EXPECT_EQ(killed.signal, SIGKILL) << killed.Describe();
    EXPECT_EQ(killed.err, "");
    const Result next = disk.Run({"nothing"}, {"write", "kill"});
    EXPECT_TRUE(next.Succeeded()) << next.Describe();
    EXPECT_TRUE(disk.IsEmpty()) << "round " << round;
  }
}

}  // namespace
}  // namespace taskmem::test
