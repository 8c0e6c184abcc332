// Quotas: what is refused, what never is, and what policy makes of the rest.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <sstream>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

constexpr char kSeed[] = "20240607";

TEST(Quota, RefusesLargeRequestsAndLetsSmallOnesOverdraw) { ExpectSuccess({"refuse_large"}); }

class QuotaOfThreads : public ::testing::TestWithParam<std::string> {};

TEST_P(QuotaOfThreads, IsNeverPassedAndFullyUsed) {
  const Result result =
      RunProgram({"never_overdraws", GetParam(), kSeed},
                 {{"TASKMEM_REFUSE_MIN", "0"}, {"TASKMEM_REFUSAL_BUDGET", "1000000"}});
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
}

INSTANTIATE_TEST_SUITE_P(, QuotaOfThreads, ::testing::Values("1", "16"),
                         [](const auto& info) { return "threads_" + info.param; });

TEST(Quota, IsOfWholeBlocksAndOfWhatIsTouchedOfSparseMappings) {
  ExpectSuccess({"sparse_blocks"}, {{"TASKMEM_TASK_BY", "process"}, {"TASKMEM_QUOTA", "100M"}});
}

TEST(Quota, ARefusedReallocKeepsTheBlock) { ExpectSuccess({"realloc_refused"}); }

TEST(Quota, TheProgramIsToldOfRefusals) {
  ExpectSuccess({"on_refusal"});
  ExpectSuccess({"on_refusal"}, {{"TASKMEM_SITES", "off"}});
}

TEST(Quota, CanBeChangedWhileTheTaskWorks) { ExpectSuccess({"set_quota"}); }

TEST(Quota, OfTheProcessIsTheDefaultOfTasks) {
  ExpectSuccess({"default_quota"}, {{"TASKMEM_QUOTA", "8M"}});
}

TEST(Quota, HoldsForAProgramThatKnowsNothingOfIt) {
  const Result result = RunProgram({"process_quota"}, {{"TASKMEM_QUOTA", "64M"}});
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  const int blocks = std::stoi(result.out);
  EXPECT_GE(blocks, 58);
  EXPECT_LE(blocks, 64);
}

std::string ReadAndRemove(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  unlink(path.c_str());
  return text.str();
}

TEST(Quota, ALoggedRefusalNamesWhatWasTried) {
  const std::string log = testing::TempDir() + "/refusals." + std::to_string(getpid());
  ExpectSuccess({"refuse_large"}, {{"TASKMEM_LOG", log}, {"TASKMEM_LOG_LEVEL", "warn"}});
  const std::string text = ReadAndRemove(log);
  const std::string first = text.substr(0, text.find('\n'));
  EXPECT_NE(first.find(" warn task 1000000000 (large) refused 1.0 MiB: holds 1"), std::string::npos)
      << first;
  EXPECT_NE(first.find(" of its quota of 16.0 MiB; tried: collect "), std::string::npos) << first;
}

TEST(Quota, OverdrawLetsEverythingThroughAndCountsIt) {
  ExpectSuccess({"over_quota"}, {{"TASKMEM_AT_LIMIT", "overdraw"}});
}

// Killed, with a report that names the task, its id, its quota, and the
// size classes that hold its memory.
void ExpectKilledWithReport(const Result& result, const std::string& name,
                            const std::string& quota) {
  EXPECT_EQ(result.signal, SIGKILL) << result.Describe();
  EXPECT_EQ(result.ended_by, "");
  EXPECT_TRUE(result.err.starts_with("taskmem: ")) << result.Describe();
  for (const std::string& part : {name, std::string("1000000000"), quota, std::string("quota")}) {
    EXPECT_NE(result.err.find(part), std::string::npos) << part << "\n" << result.Describe();
  }
}

TEST(Quota, KillEndsTheProcessWithAReport) {
  const Result result = RunProgram({"over_quota"}, {{"TASKMEM_AT_LIMIT", "kill"}});
  ExpectKilledWithReport(result, "greedy", "16.0 MiB");
  EXPECT_NE(result.err.find("\ntaskmem: "), std::string::npos) << "no line for a size class\n"
                                                               << result.Describe();
}

TEST(RefusalBudget, LetsTheRequestThroughAfterTenRefusals) {
  ExpectSuccess({"refusal_budget", "10"}, {{"TASKMEM_REFUSAL_BUDGET", "10"}});
}

TEST(RefusalBudget, IsAThousandByDefault) { ExpectSuccess({"refusal_budget", "1000"}); }

TEST(RefusalBudget, CanEndTheProcess) {
  const Result result = RunProgram(
      {"refusal_budget", "10"}, {{"TASKMEM_REFUSAL_BUDGET", "10"}, {"TASKMEM_AT_BUDGET", "kill"}});
  ExpectKilledWithReport(result, "stubborn", "8.0 MiB");
}

class RefusalTurns : public ::testing::TestWithParam<std::string> {};

TEST_P(RefusalTurns, SpendOneBudget) {
  ExpectSuccess({"refusal_turns", GetParam(), "50"}, {{"TASKMEM_REFUSAL_BUDGET", "50"}});
}

INSTANTIATE_TEST_SUITE_P(, RefusalTurns,
                         ::testing::Values("mmap_malloc", "same_size", "two_sizes", "falling",
                                           "rising", "halving", "with_small", "all_calls"),
                         [](const auto& info) { return info.param; });

TEST(Refusals, OfOneRequestAreOne) { ExpectSuccess({"refusals_counted"}); }

TEST(Refusals, AreForgottenWhenABlockGrows) {
  ExpectSuccess({"refusals_counted", "growing"}, {{"TASKMEM_REFUSAL_BUDGET", "3"}});
}

TEST(Refusals, AreLoggedAtEachDoubling) {
  const std::string log = testing::TempDir() + "/doublings." + std::to_string(getpid());
  ExpectSuccess({"refusal_turns", "mmap_malloc", "1000"}, {{"TASKMEM_LOG", log}});
  std::istringstream lines(ReadAndRemove(log));
  std::string line;
  std::vector<std::string> in_a_row;
  while (std::getline(lines, line)) {
    if (line.find(" refused ") == std::string::npos) continue;
    ASSERT_TRUE(line.ends_with(" in a row")) << line;
    const size_t at = line.rfind("; ") + 2;
    in_a_row.push_back(line.substr(at, line.find(' ', at) - at));
  }
  std::vector<std::string> expected;
  for (int round = 0; round < 2; ++round) {
    for (int count = 1; count <= 1000; count *= 2) expected.push_back(std::to_string(count));
  }
  EXPECT_EQ(in_a_row, expected);
}

TEST(Refusals, DoNotFloodTheLog) {
  const std::string log = testing::TempDir() + "/flood." + std::to_string(getpid());
  // Each refusal is the first in a row.
  ExpectSuccess({"refused_often", "20000"}, {{"TASKMEM_LOG", log}});
  const std::string text = ReadAndRemove(log);
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 1000);
  EXPECT_GE(std::count(text.begin(), text.end(), '\n'), 100);
}

class FreeMemory : public ::testing::TestWithParam<std::string> {};

TEST_P(FreeMemory, IsNeverAReasonToRefuse) {
  ExpectSuccess({"free_never_refused", GetParam()}, {{"TASKMEM_REFUSE_MIN", "0"}});
}

INSTANTIATE_TEST_SUITE_P(, FreeMemory, ::testing::Values("same", "other", "parked", "sleeping"),
                         [](const auto& info) { return info.param; });

class Dying : public ::testing::TestWithParam<std::string> {};

TEST_P(Dying, IsRefusedNothing) {
  ExpectSuccess({"dying", GetParam()}, {{"TASKMEM_REFUSE_MIN", "0"}});
}

INSTANTIATE_TEST_SUITE_P(, Dying, ::testing::Values("exit", "return", "abort", "segv", "bus"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace taskmem::test
