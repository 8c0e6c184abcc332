// Contexts change hands: between a thread that sleeps and who collects for a task at its limit,
// between threads that end, in any way, and new ones.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(EndedThreads, ({
                                         {.name = "aligned_in_destructors"},
                                         {.name = "ends_by_system_call"},
                                     }));

void ExpectManyRefused(Environment environment) {
  const Result result = RunProgram({"many_refused", "1500"}, std::move(environment));
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out.rfind("1500 refused, ", 0), 0u) << result.out;
}

TEST(Lending, ThreadsThatEndByTheSystemCallAreNoticed) {
  ExpectSuccess({"ends_by_system_call"}, {{"TASKMEM_QUOTA", "64M"}});
}

TEST(Lending, ARealTimeThreadDoesNotWaitForWhoItKeepsFromRunning) {
  ExpectSuccess({"real_time_thread"},
                {{"TASKMEM_QUOTA", "64M"}, {"TASKMEM_REFUSAL_BUDGET", "1000000000"}});
}

TEST(Lending, ContextsDoNotMultiplyAtTheLimit) {
  ExpectSuccess({"births_at_limit"},
                {{"TASKMEM_QUOTA", "64M"}, {"TASKMEM_REFUSAL_BUDGET", "1000000000"}});
}

TEST(Lending, ManyRefusedThreadsDoNotLookAtEachOther) {
  ExpectManyRefused({{"TASKMEM_TASK_BY", "thread"}, {"TASKMEM_QUOTA", "1M"}});
}

TEST(Lending, ManyRefusedThreadsOfOneTaskLookAtEachOtherRarely) {
  ExpectManyRefused({{"TASKMEM_QUOTA", "1M"}});
}

// The debug library aborts where its rules (shim/contexts/borrow.h) are broken, and delays threads
// at random where they may lose their processor.
struct Delays {
  std::string name;
  std::string value;  // of TASKMEM_DEBUG_DELAYS
};

inline void PrintTo(const Delays& delays, std::ostream* out) { *out << delays.name; }

class LendingWithDelays : public ::testing::TestWithParam<Delays> {};

TEST_P(LendingWithDelays, KeepsContentsAndBooks) {
  constexpr char kMilliseconds[] = "1500";
  const Result result = RunProgram({"lend_races", kMilliseconds, "20241128"},
                                   {{"LD_PRELOAD", Runfile("shim/libtaskmem_debug.so")},
                                    {"TASKMEM_DEBUG_DELAYS", GetParam().value},
                                    {"TASKMEM_REFUSAL_BUDGET", "1000000000"}});
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

INSTANTIATE_TEST_SUITE_P(, LendingWithDelays,
                         ::testing::Values(Delays{"none", ""}, Delays{"rare_and_long", "2:3000:1"},
                                           Delays{"often_and_short", "100:300:2"},
                                           Delays{"everywhere", "50:500:6"},
                                           Delays{"of_collectors", "300:1000:3:len"},
                                           Delays{"of_owners", "20:1000:4:inside"},
                                           Delays{"heap_put_back", "200:1000:5:put"}),
                         [](const auto& info) { return info.param.name; });

// The child goes on with what its handler interrupted: the locks are its own.
TEST(ForkInHandlersWithDelays, KeepsToTheRules) {
  for (const char* work : {"collect", "begin", "threads"}) {
    const Result result =
        RunProgram({"fork_in_handler", work}, {{"LD_PRELOAD", Runfile("shim/libtaskmem_debug.so")},
                                               {"TASKMEM_DEBUG_DELAYS", "50:300:7"}});
    EXPECT_TRUE(result.Succeeded()) << work << ": " << result.Describe();
  }
}

}  // namespace
}  // namespace taskmem::test
