// Spill hooks under the preload: memory comes back before an allocation fails, and nothing a
// hook does damages the program or the books.
#include <fstream>
#include <iterator>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

class HooksSpill
    : public ::testing::TestWithParam<std::tuple<std::string, std::string, std::string>> {};

TEST_P(HooksSpill, ATaskTakesManyTimesItsQuota) {
  const auto& [run_on, bytes, threads] = GetParam();
  // The budget is for programs that retry.
  ExpectSuccess({"hook_spills", run_on, bytes, threads},
                {{"TASKMEM_REFUSE_MIN", "0"}, {"TASKMEM_REFUSAL_BUDGET", "1000000"}});
}

INSTANTIATE_TEST_SUITE_P(, HooksSpill,
                         ::testing::Combine(::testing::Values("allocating", "reclaimer"),
                                            ::testing::Values("1000", "65536", "1048576"),
                                            ::testing::Values("1", "4")),
                         [](const auto& info) {
                           return std::get<0>(info.param) + "_" + std::get<1>(info.param) +
                                  "_bytes_" + std::get<2>(info.param) + "_threads";
                         });

class HookThat : public ::testing::TestWithParam<std::string> {};

TEST_P(HookThat, DamagesNothing) {
  const Result result = RunProgram({"hook_misbehaves", GetParam()});
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

INSTANTIATE_TEST_SUITE_P(, HookThat,
                         ::testing::Values("throws", "lies_high", "lies_low", "other_thread",
                                           "allocates", "attaches", "ends_task", "unregisters",
                                           "registers", "forks", "prints", "errno", "reallocates"),
                         [](const auto& info) { return info.param; });

class HookOfThreads : public ::testing::TestWithParam<std::string> {};

TEST_P(HookOfThreads, IsWaitedForBounded) {
  ExpectSuccess({"hook_threads", GetParam()}, {{"TASKMEM_SPILL_TIMEOUT", "300ms"}});
}

INSTANTIATE_TEST_SUITE_P(, HookOfThreads,
                         ::testing::Values("hangs", "hangs_reclaimer", "unregister_in_flight",
                                           "thread_exit", "cancel", "fork", "fork_while_hanging",
                                           "vfork", "main_ends", "stack"),
                         [](const auto& info) { return info.param; });

TEST(Hooks, TheSoftLimitSpillsBeforeTheQuotaIsReached) {
  ExpectSuccess({"hook_threads", "soft_limit"}, {{"TASKMEM_SOFT_LIMIT", "50%"}});
}

class HookStorm : public ::testing::TestWithParam<std::string> {};

TEST_P(HookStorm, EndsWithBooksThatAreRight) {
  ExpectSuccess({"hook_storm", GetParam()},
                {{"TASKMEM_SPILL_TIMEOUT", "50ms"}, {"TASKMEM_SOFT_LIMIT", "80%"}});
}

INSTANTIATE_TEST_SUITE_P(, HookStorm, ::testing::Values("1", "2", "3"),
                         [](const auto& info) { return "seed_" + info.param; });

// The runtime of a hook that throws need not be the program's, nor be visible.
TEST(Hooks, AnExceptionEndsInTheRuntimeThatThrewIt) {
  for (const char* library : {"hook_throwing_library.so", "hook_throwing_static_library.so"}) {
    ExpectSuccess({"hook_throws", ProgramPath(library)});
  }
}

TEST(Hooks, AnExceptionIsLogged) {
  const TemporaryFolder folder;
  const std::string log = folder.Write("log", "");
  EXPECT_TRUE(RunProgram({"hook_misbehaves", "throws"}, {{"TASKMEM_LOG", log}}).Succeeded());
  std::ifstream file(log);
  const std::string lines{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(lines.find("Error while calling spill() on cache"), std::string::npos) << lines;
}

TEST(Hooks, TheApiSaysWhatIsWrong) { ExpectSuccess({"hook_errors"}); }

TEST(Hooks, TheCppWrapperUnregistersItself) { ExpectSuccess({"hook_wrapper"}); }

}  // namespace
}  // namespace taskmem::test
