// Threads of an engine's pool work for the task that is active, or for none.
#include <filesystem>
#include <fstream>
#include <utility>

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

// Libraries of one engine's name: without what an adapter looks for, and with it.
class AdaptersTest : public ::testing::TestWithParam<std::pair<std::string, std::string>> {
 protected:
  static int CountIn(const std::string& path, const std::string& text) {
    std::ifstream file(path);
    int count = 0;
    for (std::string line; std::getline(file, line);) count += line.find(text) != line.npos;
    return count;
  }
};

TEST_P(AdaptersTest, AreTriedOnceOnEachLibraryThatIsLoaded) {
  const std::string named = ProgramPath(GetParam().first);
  const std::string engine = ProgramPath(GetParam().second);
  TemporaryFolder folder;
  const std::string copy = folder.path() + "/" + GetParam().second;
  std::filesystem::copy_file(engine, copy);
  const std::string log = folder.path() + "/log";
  ExpectSuccess({"engines_again", named, engine, copy},
                {{"TASKMEM_TASK_BY", "none"}, {"TASKMEM_LOG", log}, {"TASKMEM_LOG_LEVEL", "info"}});
  EXPECT_EQ(CountIn(log, "sole active task: it has not the functions expected"), 1);
  EXPECT_EQ(CountIn(log, "sole active task: there is another of its kind"), 1);
  EXPECT_EQ(CountIn(log, "work for the sole active task"), 2);
  EXPECT_EQ(CountIn(log, "work for the query's task"), 11);
}

TEST_P(AdaptersTest, LeaveForksAlone) {
  ExpectSuccess({"forks_amid_threads", ProgramPath(GetParam().second), "50"},
                {{"LD_PRELOAD", Runfile("shim/libtaskmem_debug.so")},
                 {"TASKMEM_DEBUG_DELAYS", "500:300:7:attach_engine"}});
}

INSTANTIATE_TEST_SUITE_P(, AdaptersTest,
                         ::testing::Values(std::pair("libduckdb_named.so", "libduckdb_test.so"),
                                           std::pair("libarrow.so.named.so",
                                                     "libarrow.so.test.so")),
                         [](const auto& info) { return info.index == 0 ? "DuckDb" : "Arrow"; });

TEST(PoolThreads, AreOfNoTaskWhereThatIsWanted) {
  ExpectPool("libarrow_pool.so", "untracked",
             {{"TASKMEM_TASK_BY", "none"}, {"TASKMEM_POOL_THREADS", "untracked"}});
}

TEST(PoolThreads, AreNotThoseThatTheProgramMade) {
  ExpectPool("program_pool.so", "program", {{"TASKMEM_TASK_BY", "none"}});
}

// As jemalloc makes its own, and an engine that was opened with RTLD_DEEPBIND its pool.
TEST(PoolThreads, AreThoseTooThatLibcsOwnFunctionMade) {
  for (const char* task_by : {"process", "none"}) {
    ExpectPool("libarrow_past_taskmem.so", "program", {{"TASKMEM_TASK_BY", task_by}});
  }
  ExpectPool("libarrow_past_taskmem.so", "together", {{"TASKMEM_TASK_BY", "none"}});
  ExpectPool("program_past_taskmem.so", "untracked", {{"TASKMEM_TASK_BY", "none"}});
}

}  // namespace
}  // namespace taskmem::test
