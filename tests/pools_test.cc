// --memory: what all tasks of a process may hold together, and how they share it.
#include <csignal>
#include <fstream>
#include <sstream>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

// No tasks but those the program begins, which are served as they come.
Environment Memory(const std::string& memory, Environment more = {}) {
  more.try_emplace("TASKMEM_MEMORY", memory);
  more.try_emplace("TASKMEM_SHARE", "none");
  more.try_emplace("TASKMEM_TASK_BY", "thread-name=^no such thread$");
  return more;
}

TEST(Memory, IsRefusedWhenAllTasksTogetherHoldIt) {
  ExpectSuccess({"memory_refuses"}, Memory("64M"));
}

TEST(Memory, ALoggedRefusalNamesTheLimitThatRefused) {
  const TemporaryFolder folder;
  const std::string log = folder.path() + "/log";
  ExpectSuccess({"memory_refuses"}, Memory("64M", {{"TASKMEM_LOG", log}}));
  std::stringstream text;
  text << std::ifstream(log).rdbuf();
  EXPECT_NE(text.str().find("refused 1.0 MiB: holds 23.0 MiB, and --memory is used up; "),
            std::string::npos)
      << text.str();
  // More than the quota, whatever --memory has.
  EXPECT_NE(text.str().find("refused 1.0 TiB: holds 23.0 MiB of its quota of 48.0 MiB; "),
            std::string::npos)
      << text.str();
}

TEST(Memory, OfNoTaskIsNeverRefusedAndLowersWhatTasksGet) {
  ExpectSuccess({"memory_untracked"}, Memory("64M"));
}

TEST(Memory, IsSharedByTheRuleOfSpark) {
  ExpectSuccess({"memory_share", "spark"}, Memory("64M", {{"TASKMEM_SHARE", "spark"}}));
}

// A small task is not refused for a large one's sake.
TEST(Memory, IsKeptForWhoHasLessThanAShare) {
  ExpectSuccess({"memory_share_fair", "fair"}, Memory("300M", {{"TASKMEM_SHARE", "fair"}}));
  // The default of the two.
  ExpectSuccess({"memory_share_fair", "fair"}, Memory("300M", {{"TASKMEM_SHARE", "auto"}}));
  ExpectSuccess({"memory_share_fair", "none"}, Memory("300M", {{"TASKMEM_SHARE", "none"}}));
}

TEST(Memory, IsForWhoComesFirstOtherwise) {
  ExpectSuccess({"memory_share", "none"}, Memory("64M", {{"TASKMEM_SHARE", "none"}}));
}

TEST(Memory, ThatIsIdleIsGivenUp) { ExpectSuccess({"memory_idle"}, Memory("64M")); }

TEST(Memory, BeforeThereWerePoolsCounts) {
  TemporaryFolder stats;
  Command command;
  command.arguments = {ProgramPath("early_task")};
  command.more_preloads = {ProgramPath("early_task_library.so")};
  command.environment = Memory("64M", {{"TASKMEM_STATS_DIR", stats.path()}});
  const Result result = RunCommand(command);
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

class ForkedMemory : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(ForkedMemory, BeginsWithWhatWasInherited) {
  const auto& [how, threads] = GetParam();
  ExpectSuccess({"memory_fork", how, threads}, Memory("64M"));
}

// Without fork handlers what other threads were amid stays charged: one thread.
INSTANTIATE_TEST_SUITE_P(
    , ForkedMemory,
    ::testing::Values(std::tuple("fork", "alone"), std::tuple("fork", "threads"),
                      std::tuple("syscall", "alone"), std::tuple("clone", "alone")),
    [](const auto& info) { return std::get<0>(info.param) + "_" + std::get<1>(info.param); });

class MemoryAtItsLimit : public ::testing::TestWithParam<std::string> {};

TEST_P(MemoryAtItsLimit, IsNeverPassedAndFullyUsed) {
  const Result result = RunProgram(
      {"memory_exact", GetParam()},
      Memory("64M", {{"TASKMEM_REFUSE_MIN", "0"}, {"TASKMEM_REFUSAL_BUDGET", "1000000"}}));
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

class MemoryInAStorm : public ::testing::TestWithParam<std::string> {};

TEST_P(MemoryInAStorm, IsNotWaitedForForEver) {
  for (const char* memory : {"1M", "8M"}) {
    for (const char* share : {"none", "fair", "spark"}) {
      const Result result =
          RunProgram({"memory_storm", GetParam()}, Memory(memory, {{"TASKMEM_SHARE", share}}));
      EXPECT_TRUE(result.Succeeded()) << memory << " " << share << "\n" << result.Describe();
      EXPECT_EQ(result.err, "");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, MemoryAtItsLimit, ::testing::Values("1", "20240607"),
                         [](const auto& info) { return "seed_" + info.param; });
INSTANTIATE_TEST_SUITE_P(, MemoryInAStorm, ::testing::Values("1", "20240607"),
                         [](const auto& info) { return "seed_" + info.param; });

TEST(Memory, IsShortAndTheBooksStillAddUp) {
  for (const char* share : {"none", "spark"}) {
    const Result result = RunProgram(
        {"random_workload", "4711"},
        {{"TASKMEM_MEMORY", "8M"}, {"TASKMEM_AT_LIMIT", "overdraw"}, {"TASKMEM_SHARE", share}});
    EXPECT_TRUE(result.Succeeded()) << share << "\n" << result.Describe();
    EXPECT_EQ(result.err, "");
  }
}

// A program that knows nothing of it takes blocks of 1 MiB, up to 200.
int BlocksOfAProgram(Environment environment) {
  const Result result = RunProgram({"process_quota"}, std::move(environment));
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
  return result.out.empty() ? 0 : std::stoi(result.out);
}

TEST(Memory, LimitsAProgramThatKnowsNothingOfIt) {
  const int blocks = BlocksOfAProgram({{"TASKMEM_MEMORY", "64M"}});
  EXPECT_GE(blocks, 58);
  EXPECT_LE(blocks, 64);
}

TEST(Memory, IsTheTasksWhollyWhileThereAreNoBlocks) {
  for (const char* fraction : {"0", "0.9", "0.999"}) {
    const int blocks =
        BlocksOfAProgram({{"TASKMEM_MEMORY", "64M"}, {"TASKMEM_STORAGE_FRACTION", fraction}});
    EXPECT_GE(blocks, 58) << fraction;
    EXPECT_LE(blocks, 64) << fraction;
  }
}

TEST(Memory, AndQuotaHoldBoth) {
  const int by_quota = BlocksOfAProgram({{"TASKMEM_MEMORY", "128M"}, {"TASKMEM_QUOTA", "64M"}});
  EXPECT_GE(by_quota, 58);
  EXPECT_LE(by_quota, 64);
  const int by_memory = BlocksOfAProgram({{"TASKMEM_MEMORY", "64M"}, {"TASKMEM_QUOTA", "128M"}});
  EXPECT_GE(by_memory, 58);
  EXPECT_LE(by_memory, 64);
}

TEST(Memory, CanBeOverdrawn) {
  EXPECT_EQ(BlocksOfAProgram({{"TASKMEM_MEMORY", "64M"}, {"TASKMEM_AT_LIMIT", "overdraw"}}), 200);
  EXPECT_EQ(BlocksOfAProgram({{"TASKMEM_MEMORY", "64M"}, {"TASKMEM_REFUSE_MIN", "2M"}}), 200);
}

TEST(Memory, IsNotTheProgramsConcernByDefault) {
  EXPECT_EQ(BlocksOfAProgram({}), 200);
  EXPECT_EQ(BlocksOfAProgram({{"TASKMEM_MEMORY", "none"}}), 200);
  EXPECT_EQ(BlocksOfAProgram({{"TASKMEM_MEMORY", "container"}}), 200);
  EXPECT_EQ(BlocksOfAProgram({{"TASKMEM_SHARE", "spark"}}), 200);
}

// Untouched memory is not refused where no limit was set.
TASKMEM_CONTRACT_TESTS(
    Sparse, ({
                {.name = "sparse_memory", .arguments = {"maps"}, .data_limit_bytes = 0},
                {.name = "sparse_memory", .arguments = {"blocks"}, .data_limit_bytes = 0},
            }));

TEST(Memory, ThatIsUntouchedTakesNoRoomByDefault) {
  TemporaryFolder stats;
  Command command;
  command.arguments = {ProgramPath("sparse_books")};
  command.environment = {{"TASKMEM_TASK_BY", "thread-name=^no such thread$"},
                         {"TASKMEM_STATS_DIR", stats.path()}};
  command.data_limit_bytes = 0;
  const Result result = RunCommand(command);
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

TEST(Memory, KillEndsTheProcessWithAReport) {
  const Result result =
      RunProgram({"process_quota"}, {{"TASKMEM_MEMORY", "64M"}, {"TASKMEM_AT_LIMIT", "kill"}});
  EXPECT_EQ(result.signal, SIGKILL) << result.Describe();
  EXPECT_EQ(result.ended_by, "");
  EXPECT_TRUE(result.err.starts_with("taskmem: ")) << result.Describe();
  for (const char* part :
       {"process_quota", "--memory", "64.0 MiB", "asked for 1.0 MiB", "\ntaskmem: "}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << part << "\n" << result.Describe();
  }
  EXPECT_EQ(result.err.find("quota:"), std::string::npos) << result.Describe();
}

TEST(Memory, KillNamesTheQuotaWhereThatIsTheReason) {
  const Result result =
      RunProgram({"over_quota"}, {{"TASKMEM_MEMORY", "64M"}, {"TASKMEM_AT_LIMIT", "kill"}});
  EXPECT_EQ(result.signal, SIGKILL) << result.Describe();
  EXPECT_NE(result.err.find("over its quota"), std::string::npos) << result.Describe();
  EXPECT_EQ(result.err.find("--memory"), std::string::npos) << result.Describe();
}

// "<memory> <execution> <storage>", as the process shows it.
struct Sizes {
  uint64_t memory = 0;
  uint64_t execution = 0;
  uint64_t storage = 0;
};

Sizes SizesOf(Environment environment) {
  const Result result = RunProgram({"memory_size"}, std::move(environment));
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
  Sizes sizes;
  std::istringstream(result.out) >> sizes.memory >> sizes.execution >> sizes.storage;
  return sizes;
}

TEST(MemorySize, IsAsGiven) {
  const Sizes sizes = SizesOf({{"TASKMEM_MEMORY", "1.5G"}, {"TASKMEM_SHARE", "none"}});
  EXPECT_EQ(sizes.memory, 3 * kGiB / 2);
  EXPECT_EQ(sizes.execution, sizes.memory / 2);
  EXPECT_EQ(sizes.storage, sizes.memory / 2);
}

TEST(MemorySize, IsDividedByTheFraction) {
  const Sizes quarter = SizesOf(
      {{"TASKMEM_MEMORY", "1G"}, {"TASKMEM_STORAGE_FRACTION", "0.25"}, {"TASKMEM_SHARE", "none"}});
  EXPECT_EQ(quarter.storage, kGiB / 4);
  EXPECT_EQ(quarter.execution, kGiB / 4 * 3);
  const Sizes nothing = SizesOf({{"TASKMEM_MEMORY", "1G"}, {"TASKMEM_STORAGE_FRACTION", "0"}});
  EXPECT_EQ(nothing.storage, 0u);
  EXPECT_EQ(nothing.execution, kGiB);
}

TEST(MemorySize, IsWhatTheMachineHasByDefault) {
  const Sizes sizes = SizesOf({});
  EXPECT_GT(sizes.memory, 0u);
  EXPECT_LT(sizes.memory, uint64_t{1} << 50);
  EXPECT_EQ(SizesOf({{"TASKMEM_MEMORY", "container"}}).memory, sizes.memory);
}

TEST(MemorySize, CanBeNoLimit) {
  EXPECT_EQ(SizesOf({{"TASKMEM_MEMORY", "none"}}).memory, UINT64_MAX);
  const Result all = RunProgram({"memory_takes"}, {{"TASKMEM_MEMORY", "none"}});
  EXPECT_EQ(all.out, "5\n") << all.Describe();
  const Result some = RunProgram({"memory_takes"}, {{"TASKMEM_MEMORY", "3.5G"}});
  EXPECT_EQ(some.out, "3\n") << some.Describe();
}

class BadMemoryOption : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(BadMemoryOption, IsOneClearLineAndStatus2) {
  const auto& [variable, value] = GetParam();
  const Result result = RunProgram({"plain_start"}, {{variable, value}});
  EXPECT_EQ(result.exit_status, 2) << result.Describe();
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(
      result.err.starts_with("taskmem: bad value '" + value + "' for " + variable + ": expected "))
      << result.Describe();
  EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << result.Describe();
}

INSTANTIATE_TEST_SUITE_P(
    , BadMemoryOption,
    ::testing::Values(std::tuple("TASKMEM_MEMORY", "0"), std::tuple("TASKMEM_MEMORY", "much"),
                      std::tuple("TASKMEM_MEMORY", "-64M"), std::tuple("TASKMEM_MEMORY", "50%"),
                      std::tuple("TASKMEM_STORAGE_FRACTION", "1"),
                      std::tuple("TASKMEM_STORAGE_FRACTION", "-0.1"),
                      std::tuple("TASKMEM_STORAGE_FRACTION", "half"),
                      std::tuple("TASKMEM_SHARE", "equal"), std::tuple("TASKMEM_SHARE", "1")));

}  // namespace
}  // namespace taskmem::test
