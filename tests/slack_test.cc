// Memory that is free in the allocator and still in memory: it leaves by itself, at once where
// somebody asks, and before anything else where memory is short.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(Slack, ({
                                  {.name = "trim_returns_all"},
                                  {.name = "slack_decays", .arguments = {"ended"}},
                                  {.name = "slack_decays", .arguments = {"alone"}},
                                  {.name = "kept_blocks", .arguments = {"contents"}},
                                  {.name = "kept_blocks", .arguments = {"protected"}},
                                  {.name = "kept_blocks", .arguments = {"forked"}},
                                  {.name = "kept_blocks", .arguments = {"limited"}},
                                  {.name = "kept_blocks", .arguments = {"locked"}},
                                  {.name = "kept_blocks", .arguments = {"replaced"}},
                                  {.name = "kept_blocks", .arguments = {"alone_in_child"}},
                                  {.name = "kept_blocks", .arguments = {"storm"}},
                              }));

TEST(SlackOfSleepers, Decays) { ExpectSuccess({"slack_decays", "asleep"}); }

TEST(KeptBlocks, CostNoPageFaultsAndLeaveBeforeTheyAreInTheWay) {
  for (const char* how :
       {"back", "blocked", "decays", "at_once", "peak", "sparse", "alone", "signals"})
    ExpectSuccess({"kept_blocks", how});
}

TEST(SlackAtTheLimit, IsGivenBackFirst) {
  ExpectSuccess({"slack_goes_first"},
                {{"TASKMEM_MEMORY", "64M"}, {"TASKMEM_TASK_BY", "thread-name=^no such thread$"}});
}

// A group of the memory controller, version 1, with a limit. Only root may make one.
class Container : public ::testing::Test {
 protected:
  void SetUp() override {
    namespace fs = std::filesystem;
    std::error_code error;
    path_ = "/sys/fs/cgroup/memory/taskmem-test-" + std::to_string(getpid());
    if (!fs::exists("/sys/fs/cgroup/memory/memory.limit_in_bytes") ||
        !fs::create_directory(path_, error)) {
      path_.clear();
      GTEST_SKIP() << "no control group can be made here";
    }
    std::ofstream(path_ + "/memory.limit_in_bytes") << (400 << 20);
  }
  void TearDown() override {
    // A process that has ended leaves its group a moment later.
    std::error_code error;
    for (int i = 0; i < 1000 && !path_.empty(); ++i) {
      if (std::filesystem::remove(path_, error)) break;
      usleep(1000);
    }
  }

  // A program of tests/programs/ in the group, with default options.
  Result Run(const std::vector<std::string>& arguments) {
    std::string line = "echo $$ > " + path_ + "/cgroup.procs && exec " + ProgramPath(arguments[0]);
    for (size_t i = 1; i < arguments.size(); ++i) line += " " + arguments[i];
    TemporaryFolder stats;
    Command command;
    command.arguments = {"/bin/sh", "-c", line};
    command.environment = {{"TASKMEM_STATS_DIR", stats.path()}};
    command.data_limit_bytes = 0;
    return RunCommand(command);
  }

  std::string path_;
};

TEST_F(Container, HoldsAProgramWhoseThreadsFreeMuch) {
  for (int i = 0; i < 3; ++i) {
    const Result result = Run({"spikes"});
    EXPECT_TRUE(result.Succeeded()) << result.Describe();
    EXPECT_EQ(result.err, "");
  }
}

TEST_F(Container, GivesUntouchedMemory) {
  for (const char* how : {"maps", "blocks"}) {
    const Result result = Run({"sparse_memory", how});
    EXPECT_TRUE(result.Succeeded()) << how << "\n" << result.Describe();
    EXPECT_EQ(result.err, "");
  }
}

TEST_F(Container, RefusesWhatWouldNotFit) {
  const Result result = Run({"fills_memory"});
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  const int blocks = std::stoi(result.out);
  EXPECT_GE(blocks, 300);
  EXPECT_LE(blocks, 360);
}

}  // namespace
}  // namespace taskmem::test
