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

// Tasks that follow each other on a thread pass pages on; those that alternate share them.
class Tasks : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(Tasks, LeaveNoDriftAndLittleBeyondWhatLives) {
  const Result result = RunProgram(GetParam());
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

INSTANTIATE_TEST_SUITE_P(
    , Tasks,
    ::testing::Values(std::vector<std::string>{"tasks_in_turn", "1", "2500", "20000"},
                      std::vector<std::string>{"tasks_in_turn", "4711", "2500", "500"},
                      std::vector<std::string>{"tasks_alternate", "1", "10", "400000"},
                      std::vector<std::string>{"tasks_alternate", "2", "100", "400000"},
                      std::vector<std::string>{"tasks_alternate", "3", "1000", "400000"}));

TEST(ThreadChurn, LeavesNoDriftAndNoGrowth) { ExpectBooksAddUp("thread_churn", "4711"); }

}  // namespace
}  // namespace taskmem::test
