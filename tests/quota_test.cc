// Quotas: what is refused, what never is, and what policy makes of the rest.
#include <unistd.h>

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

TEST(Quota, ARefusedReallocKeepsTheBlock) { ExpectSuccess({"realloc_refused"}); }

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
  EXPECT_NE(first.find(" warn task 1000000000 (large) refused 1024.0 KiB: holds 1"),
            std::string::npos)
      << first;
  EXPECT_NE(first.find(" of 16.0 MiB; tried: collect "), std::string::npos) << first;
}

TEST(Quota, OverdrawLetsEverythingThroughAndCountsIt) {
  ExpectSuccess({"over_quota"}, {{"TASKMEM_AT_LIMIT", "overdraw"}});
}

// Killed, with a report that names the task, its id, its quota in bytes, and the
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
  ExpectKilledWithReport(result, "greedy", "16777216");
  EXPECT_NE(result.err.find("\ntaskmem: "), std::string::npos)
      << "no line for a size class\n"
      << result.Describe();
}

TEST(RefusalBudget, LetsTheRequestThroughAfterTenRefusals) {
  ExpectSuccess({"refusal_budget", "10"}, {{"TASKMEM_REFUSAL_BUDGET", "10"}});
}

TEST(RefusalBudget, IsAThousandByDefault) { ExpectSuccess({"refusal_budget", "1000"}); }

TEST(RefusalBudget, CanEndTheProcess) {
  const Result result = RunProgram(
      {"refusal_budget", "10"}, {{"TASKMEM_REFUSAL_BUDGET", "10"}, {"TASKMEM_AT_BUDGET", "kill"}});
  ExpectKilledWithReport(result, "stubborn", "8388608");
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
