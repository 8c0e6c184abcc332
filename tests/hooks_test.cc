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

// A hook that waits for a lock of the thread that allocates.
class HookOfALockedThread : public ::testing::TestWithParam<std::string> {
 protected:
  struct Run {
    Result result;
    std::string thread;              // the main one
    std::vector<std::string> lines;  // of the log, that tell of the hook
  };
  Run RunWithLog(const std::string& where) {
    const TemporaryFolder folder;
    const std::string log = folder.Write("log", "");
    Run run;
    run.result = RunProgram({"hook_deadlocks", where, log},
                            {{"TASKMEM_LOG", log}, {"TASKMEM_SPILL_TIMEOUT", "500ms"}});
    run.thread = "thread " + std::to_string(atoi(run.result.out.c_str())) + " (hook_deadlocks)";
    std::ifstream file(log);
    for (std::string line; std::getline(file, line);) {
      if (line.find("has not returned") != std::string::npos) run.lines.push_back(line);
    }
    return run;
  }
};

TEST_P(HookOfALockedThread, IsToldOfOnce) {
  const std::string where = GetParam();
  const Run run = RunWithLog(where);
  EXPECT_TRUE(run.result.Succeeded()) << run.result.Describe();
  EXPECT_EQ(run.result.err, "");
  ASSERT_EQ(run.lines.size(), 1u);
  const std::string& line = run.lines[0];
  const auto says = [&](const std::string& what) {
    EXPECT_NE(line.find(what), std::string::npos) << line << "\n" << what;
  };
  says("warn hook cache of task 1000000000 (query) has not returned for 0.");
  if (where == "own") {
    says("it runs inside an allocation of " + run.thread +
         ", and waits for a lock that this thread holds; the allocation is the same thread's");
  } else {
    says(where == "other" ? "it runs inside an allocation of thread " : "it runs on thread ");
    says(where == "other" ? " (hook_deadlocks), and" : " (taskmem-reclaim), and");
    says(", and waits for a lock that " + run.thread + " holds; " + run.thread +
         ", which allocates, has waited for it");
  }
}

INSTANTIATE_TEST_SUITE_P(, HookOfALockedThread, ::testing::Values("own", "other", "reclaimer"),
                         [](const auto& info) { return info.param; });

// Nobody has asked for a log, and the program stands still for good.
TEST(Hooks, ADeadlockIsSaidWithoutALog) {
  const Result result =
      RunProgram({"hook_deadlocks", "own", "-"}, {{"TASKMEM_SPILL_TIMEOUT", "100ms"}});
  EXPECT_EQ(result.exit_status, 3) << result.Describe();
  EXPECT_NE(result.err.find("taskmem: hook cache of task"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("waits for a lock that this thread holds"), std::string::npos);
}

TEST(Hooks, TheApiSaysWhatIsWrong) { ExpectSuccess({"hook_errors"}); }

TEST(Hooks, TheCppWrapperUnregistersItself) { ExpectSuccess({"hook_wrapper"}); }

}  // namespace
}  // namespace taskmem::test
