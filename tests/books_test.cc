// The books add up, whatever threads and tasks do to each other.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

class Books : public ::testing::TestWithParam<std::string> {};

void ExpectBooksAddUp(const std::string& program, const std::string& seed) {
  const Result result = RunProgram({program, seed});
  EXPECT_TRUE(result.Succeeded()) << "seed " << seed << "\n" << result.Describe();
  EXPECT_EQ(result.err, "");
}

TEST_P(Books, OfARandomWorkload) { ExpectBooksAddUp("random_workload", GetParam()); }

TEST_P(Books, OfTasksThatEndUnderWay) { ExpectBooksAddUp("end_races", GetParam()); }

INSTANTIATE_TEST_SUITE_P(, Books, ::testing::Values("1", "20240607", "987654321"),
                         [](const auto& info) { return "seed_" + info.param; });

TEST(ThreadChurn, LeavesNoDriftAndNoGrowth) { ExpectBooksAddUp("thread_churn", "4711"); }

}  // namespace
}  // namespace taskmem::test
