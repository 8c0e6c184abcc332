// Whatever becomes of threads, tasks and libraries, the books are what the pages say.
#include <filesystem>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

constexpr char kByName[] = "thread-name=^task-([0-9]+)";
constexpr char kSeeds[][8] = {"1", "20261"};

// No tasks but those the program begins; many blocks are samples.
void ExpectSumsHold(const std::string& state, Environment environment = {}) {
  environment.try_emplace("TASKMEM_TASK_BY", kByName);
  environment.try_emplace("TASKMEM_SITES_INTERVAL", "16K");
  for (const char* seed : kSeeds) {
    SCOPED_TRACE("seed " + std::string(seed));
    ExpectSuccess({"sums_hold", state, seed, ProgramPath("sums_library.so")}, environment);
  }
}

class Sums : public ::testing::TestWithParam<std::string> {};

TEST_P(Sums, Hold) { ExpectSumsHold(GetParam()); }

INSTANTIATE_TEST_SUITE_P(, Sums,
                         ::testing::Values("ended_threads", "bare_exit", "ended_tasks",
                                           "folded_tasks", "renamed_threads", "unloaded_library",
                                           "moved_blocks", "destructors", "freed_by_others",
                                           "refused", "forked", "forked_in_handler",
                                           "forked_amid_mapping"),
                         [](const auto& info) { return info.param; });

// The debug library delays threads where a signal handler may interrupt them: between what the
// kernel has been told and what the books say.
TEST(SumsHold, WhereDelayedHandlersForkAmidMappings) {
  for (const char* delays : {"100:300:1:own_books", "200:300:2:unmap"}) {
    SCOPED_TRACE(delays);
    ExpectSumsHold("forked_amid_mapping", {{"LD_PRELOAD", Runfile("shim/libtaskmem_debug.so")},
                                           {"TASKMEM_DEBUG_DELAYS", delays}});
  }
}

TEST(SumsHold, OfTasksPerRename) {
  ExpectSumsHold("renamed_threads", {{"TASKMEM_TASK_PER_RENAME", "1"}});
}

TEST(SumsHold, BeyondTheQuota) {
  // The folder of the tests may be in memory.
  const TemporaryFolder folder("/var/tmp");
  ExpectSumsHold("overflowed", {{"TASKMEM_SPILL_DIR", folder.path()}});
}

}  // namespace
}  // namespace taskmem::test
