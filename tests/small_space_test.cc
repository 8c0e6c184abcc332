// Where the address space is limited the program works as it does without the library.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

// One line on standard error where there are no books.
Result RunIn(const std::string& kilobytes, const std::string& program) {
  TemporaryFolder stats;
  Command command;
  command.preload = Preload::kOff;
  command.arguments = {"sh", "-c",
                       "ulimit -v " + kilobytes + "; LD_PRELOAD=" + Runfile("shim/libtaskmem.so") +
                           " exec " + program};
  command.environment["TASKMEM_STATS_DIR"] = stats.path();
  return RunCommand(command);
}

class SmallSpace : public ::testing::TestWithParam<std::string> {};

TEST_P(SmallSpace, ServesThePlainHeap) {
  const Result shell = RunIn(GetParam(), "sh -c 'echo ok; sh -c \"exit 3\"; exit $?'");
  EXPECT_EQ(shell.exit_status, 3) << shell.Describe();
  EXPECT_EQ(shell.out, "ok\n");
  EXPECT_LE(std::count(shell.err.begin(), shell.err.end(), '\n'), 1) << shell.err;
  const Result result = RunIn(GetParam(), ProgramPath("small_space"));
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.out, "done\n");
  EXPECT_LE(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

INSTANTIATE_TEST_SUITE_P(, SmallSpace,
                         ::testing::Values("54000", "60000", "80000", "100000", "150000", "250000",
                                           "400000", "1000000"),
                         [](const auto& info) { return "kilobytes_" + info.param; });

TEST(SmallerSpace, ServesAShell) {
  const Result result = RunIn("40000", "sh -c 'echo ok; exit 3'");
  EXPECT_EQ(result.exit_status, 3) << result.Describe();
  EXPECT_EQ(result.out, "ok\n");
}

TEST(SmallerSpace, MayBeTooSmallForTheLibraryItself) {
  // The loader says so, and goes on without it.
  const Result result = RunIn("16000", "sh -c 'exit 3'");
  EXPECT_EQ(result.exit_status, 3) << result.Describe();
}

}  // namespace
}  // namespace taskmem::test
