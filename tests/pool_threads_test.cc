// Threads of an engine's pool work for the task that is active, or for none.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

void ExpectPool(const std::string& library, const std::string& what, Environment environment) {
  ExpectSuccess({"pool", ProgramPath(library), what}, std::move(environment));
}

class PoolThreadsTest : public ::testing::TestWithParam<std::string> {
 protected:
  void Run(const std::string& what) {
    ExpectPool("libarrow_pool.so", what, {{"TASKMEM_TASK_BY", GetParam()}});
  }
};

TEST_P(PoolThreadsTest, WorkForTheSoleActiveTask) { Run("serial"); }
TEST_P(PoolThreadsTest, WorkForNoneOfSeveral) { Run("together"); }
TEST_P(PoolThreadsTest, WorkForTheOneThatIsLeft) { Run("left"); }
TEST_P(PoolThreadsTest, MayAttachThemselves) { Run("attached"); }

INSTANTIATE_TEST_SUITE_P(, PoolThreadsTest, ::testing::Values("process", "none"),
                         [](const auto& info) { return info.param; });

// By an adapter, whoever else is active.
TEST(PoolThreads, OfDuckDbWorkForTheQuerysTask) {
  ExpectSuccess({"queries", ProgramPath("libduckdb_test.so")}, {{"TASKMEM_TASK_BY", "none"}});
}

TEST(PoolThreads, OfArrowWorkForTheQuerysTask) {
  ExpectSuccess({"queries", ProgramPath("libarrow.so.test.so")}, {{"TASKMEM_TASK_BY", "none"}});
}

TEST(PoolThreads, AreOfNoTaskWhereThatIsWanted) {
  ExpectPool("libarrow_pool.so", "untracked",
             {{"TASKMEM_TASK_BY", "none"}, {"TASKMEM_POOL_THREADS", "untracked"}});
}

TEST(PoolThreads, AreNotThoseThatTheProgramMade) {
  ExpectPool("program_pool.so", "program", {{"TASKMEM_TASK_BY", "none"}});
}

}  // namespace
}  // namespace taskmem::test
