// mmap and its kin: charged by the rules for what they map, refused at the quota, and noted as
// the kernel did it.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

// No tasks but those the program begins.
Environment OwnTasks(Environment more = {}) {
  more.try_emplace("TASKMEM_TASK_BY", "thread-name=^no such thread$");
  return more;
}

TEST(Mappings, AreChargedByWhatTheyAreAndRefusedAtTheQuota) {
  ExpectSuccess({"map_quota"}, OwnTasks({{"TASKMEM_REFUSAL_BUDGET", "20"}}));
}

TEST(Mappings, AreShownInTheStatsSegment) { ExpectSuccess({"map_shown"}, OwnTasks()); }

TEST(Mappings, MayBeMadeInSignalHandlers) { ExpectSuccess({"map_handlers"}, OwnTasks()); }

TEST(Mappings, MayBeMadeInManySignalHandlersWhileTheirThreadWaits) {
  ExpectSuccess({"map_handlers", "slow"}, OwnTasks());
}

TEST(Mappings, OfForkedChildrenAreTheirOwn) { ExpectSuccess({"map_forks"}, OwnTasks()); }

TEST(Mappings, ByResidencyAreLookedAtInTimeAndSharedOnesOnce) {
  ExpectSuccess({"map_sampled", "0"}, OwnTasks({{"TASKMEM_RESIDENCY_INTERVAL", "10ms"}}));
  ExpectSuccess({"map_sampled", "1"}, OwnTasks({{"TASKMEM_RESIDENCY_INTERVAL", "10ms"}}));
}

TEST(Mappings, ThatLeaveMemoryAreLookedAtBefore) {
  ExpectSuccess({"map_touched", "peaks"}, OwnTasks({{"TASKMEM_RESIDENCY_INTERVAL", "3600s"}}));
}

TEST(Mappings, ThatAreTouchedHaveRequestsRefused) {
  ExpectSuccess({"map_touched", "refuse"}, OwnTasks());
}

class TouchedOnAndOn : public ::testing::TestWithParam<std::string> {};

TEST_P(TouchedOnAndOn, EndsTheProcessNearTheQuota) {
  const Result result =
      RunProgram({"map_touched", GetParam()},
                 OwnTasks({{"TASKMEM_AT_LIMIT", "kill"}, {"TASKMEM_RESIDENCY_INTERVAL", "3600s"}}));
  EXPECT_EQ(result.signal, SIGKILL) << result.Describe();
  EXPECT_NE(result.err.find("is over its quota by what it touched"), std::string::npos)
      << result.Describe();
  // The quota is 64 MiB. How much more it is depends on who runs when.
  EXPECT_EQ(result.err.find("touched 512 MiB"), std::string::npos) << result.Describe();
}

INSTANTIATE_TEST_SUITE_P(, TouchedOnAndOn, ::testing::Values("kill", "threads", "freed"),
                         [](const auto& info) { return info.param; });

TEST(Mappings, OfAMathLibrarysWorkSpaceCountByWhatIsTouched) {
  ExpectSuccess({"map_work_space", ProgramPath("blas_library.so")}, OwnTasks());
}

TEST(Mappings, OfSystemVAreToldFromOtherObjects) { ExpectSuccess({"map_system_v"}, OwnTasks()); }

TEST(Mappings, MayBeAMillion) { ExpectSuccess({"map_million"}, OwnTasks()); }

class LibcsOwn : public ::testing::TestWithParam<std::string> {};

TEST_P(LibcsOwn, MappingCallsAreOurs) {
  ExpectSuccess({"libc_mapping_calls", ProgramPath("libc_mapping_calls_library.so"), GetParam()},
                OwnTasks());
}

INSTANTIATE_TEST_SUITE_P(, LibcsOwn, ::testing::Values("deepbind", "next", "handle", "ours"),
                         [](const auto& info) { return info.param; });

class MapOfTheKernel : public ::testing::TestWithParam<std::string> {};

TEST_P(MapOfTheKernel, IsTheLibrarysMap) {
  ExpectSuccess({"map_random", GetParam(), "1", "20000"}, OwnTasks());
  ExpectSuccess({"map_random", GetParam(), "4", "20000"}, OwnTasks());
}

TEST_P(MapOfTheKernel, IsTheLibrarysMapWhenCallsFail) {
  ExpectSuccess({"map_random", GetParam(), "1", "10000", "fail"}, OwnTasks());
  ExpectSuccess({"map_random", GetParam(), "4", "5000", "fail"}, OwnTasks());
}

INSTANTIATE_TEST_SUITE_P(, MapOfTheKernel, ::testing::Values("1", "20240607", "4711"),
                         [](const auto& info) { return "seed_" + info.param; });

TASKMEM_CONTRACT_TESTS(MappingCorners, {{.name = "map_edges", .data_limit_bytes = 0}});

}  // namespace
}  // namespace taskmem::test
