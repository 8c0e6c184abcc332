// Cached blocks, as programs see them.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

namespace fs = std::filesystem;

// 64 MiB, and no tasks but those the program begins.
Environment Blocks(Environment more = {}) {
  more.try_emplace("TASKMEM_MEMORY", "64M");
  more.try_emplace("TASKMEM_TASK_BY", "thread-name=^no such thread$");
  return more;
}

// A spill directory, in which nothing may be left.
class SpillFolder {
 public:
  ~SpillFolder() {
    for (const auto& left : fs::recursive_directory_iterator(folder_.path())) {
      ADD_FAILURE() << "left behind: " << left.path();
    }
  }
  Environment Blocks(Environment more = {}) const {
    more.try_emplace("TASKMEM_SPILL_DIR", folder_.path());
    // What a task has no room for shall be refused.
    more.try_emplace("TASKMEM_OVERFLOW", "0");
    return test::Blocks(std::move(more));
  }

 private:
  TemporaryFolder folder_;
};

std::string Seed() {
  const char* const given = getenv("TASKMEM_TEST_SEED");
  const std::string seed = given != nullptr ? given : std::to_string(std::random_device()() | 1);
  std::cout << "seed " << seed << " (TASKMEM_TEST_SEED)\n";
  return seed;
}

TEST(BlockApi, AnswersToBadInput) { ExpectSuccess({"block_errors"}, Blocks()); }

TEST(BlockApi, IsAbsentWithoutThePreload) {
  Command command;
  command.arguments = {ProgramPath("api_absent")};
  command.preload = Preload::kOff;
  const Result result = RunCommand(command);
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
}

TEST(BlockApi, TasksEvictBlocks) { ExpectSuccess({"block_evict", "memory"}, Blocks()); }

TEST(BlockApi, TasksEvictBlocksToDisk) {
  const SpillFolder spill;
  ExpectSuccess({"block_evict", "disk"}, spill.Blocks());
}

TEST(BlockApi, ValuesAreDestroyedOnce) {
  const SpillFolder spill;
  ExpectSuccess({"block_values"}, spill.Blocks());
}

TEST(BlockApi, PinsEndWithTheirTask) {
  const TemporaryFolder logs;
  const std::string log = logs.path() + "/log";
  ExpectSuccess({"block_pins"}, Blocks({{"TASKMEM_LOG", log}, {"TASKMEM_LOG_LEVEL", "warn"}}));
  std::ifstream file(log);
  std::string line;
  ASSERT_TRUE(std::getline(file, line));
  EXPECT_TRUE(
      line.ends_with("warn 2 block locks were not released by task 1000000000 (leaky): "
                     "[rdd_1_2, rdd_1_1]"))
      << line;
  EXPECT_FALSE(std::getline(file, line)) << line;
}

TEST(BlockApi, LinesOfAnEvictionAreSparks) {
  const SpillFolder spill;
  const TemporaryFolder logs;
  const std::string log = logs.path() + "/log";
  ExpectSuccess({"block_evict", "disk"}, spill.Blocks({{"TASKMEM_LOG", log}}));
  std::ifstream file(log);
  std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  for (const char* expected :
       {"info MemoryStore started with capacity 64.0 MiB\n",
        "info Block block0 stored as bytes in memory (estimated size 1024.0 KiB, free 63.0 MiB)\n",
        "blocks selected for dropping (", "info Dropping block block2 from memory\n",
        "info Writing block block2 to disk\n", "info After dropping ",
        "info Will not store large as the required space (41943040 bytes) exceeds our memory limit",
        "warn Putting block large failed\n", "warn Persisting block large to disk instead.\n"}) {
    EXPECT_NE(all.find(expected), std::string::npos) << expected;
  }
}

class LostBlocks : public ::testing::TestWithParam<std::string> {};

TEST_P(LostBlocks, AreReported) {
  const SpillFolder spill;
  ExpectSuccess({"block_lost", GetParam()}, spill.Blocks());
}

TEST_P(LostBlocks, AreReportedWhereTheyAreCompressed) {
  const SpillFolder spill;
  ExpectSuccess({"block_lost", GetParam()}, spill.Blocks({{"TASKMEM_SPILL_COMPRESS", "lz4"}}));
}

INSTANTIATE_TEST_SUITE_P(, LostBlocks, ::testing::Values("removed", "torn", "changed"));

TEST(BlockApi, ChildHasWhatWasInMemory) {
  const SpillFolder spill;
  ExpectSuccess({"block_fork", "alone"}, spill.Blocks({{"TASKMEM_MEMORY", "32M"}}));
}

TEST(BlockApi, ForkWhileThreadsUseBlocks) {
  const SpillFolder spill;
  ExpectSuccess({"block_fork", "threads"}, spill.Blocks({{"TASKMEM_MEMORY", "32M"}}));
}

TEST(BlockApi, CallbacksMayDoWhatTheyLike) { ExpectSuccess({"block_callbacks"}, Blocks()); }

TEST(BlockApi, StormInMemory) {
  ExpectSuccess({"block_storm", Seed(), "memory"}, Blocks({{"TASKMEM_MEMORY", "24M"}}));
}

TEST(BlockApi, StormWithDisk) {
  const SpillFolder spill;
  ExpectSuccess({"block_storm", Seed(), "disk"}, spill.Blocks({{"TASKMEM_MEMORY", "24M"}}));
}

TEST(BlockApi, StormWithSparksSharesAndCompression) {
  const SpillFolder spill;
  ExpectSuccess({"block_storm", Seed(), "disk"}, spill.Blocks({{"TASKMEM_MEMORY", "24M"},
                                                               {"TASKMEM_SHARE", "spark"},
                                                               {"TASKMEM_SPILL_COMPRESS", "lz4"},
                                                               {"TASKMEM_SPILL_FSYNC", "on"}}));
}

}  // namespace
}  // namespace taskmem::test
