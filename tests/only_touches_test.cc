// A process that calls nothing is shown with what it has touched: who reads looks from outside.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/command_folder.h"

namespace taskmem::test {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMiB = 1 << 20;

class OnlyTouches : public CommandFolder {
 protected:
  // Where $P is the process, which does nothing any more.
  Result With(const std::string& script, const std::string& memory = "4G") const {
    return Shell("LD_PRELOAD=$FOLDER/libtaskmem.so " + ProgramPath("only_touches") +
                     " > $FOLDER/ready & P=$!; "
                     "until grep -qs ready $FOLDER/ready; do kill -0 $P || exit 99; sleep 0.01; "
                     "done; " +
                     script + "; s=$?; kill $P; exit $s",
                 {{"TASKMEM_STATS_DIR", At("stats")},
                  {"TASKMEM_TASK_BY", "none"},
                  {"TASKMEM_MEMORY", memory},
                  {"TASKMEM_RESIDENCY_INTERVAL", "3600s"}});
  }
};

uint64_t Number(const Json& json, const char* key) { return json[key].get<uint64_t>(); }

TEST_F(OnlyTouches, IsShownByStatsAsItIs) {
  const Result result = With("taskmem stats $P --json");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  const Json books = Json::parse(result.out);
  const Json& process = books["process"];
  const Json& pools = books["pools"];
  const Json& task = books["tasks"][0];
  EXPECT_GE(Number(task, "charged_bytes"), 300 * kMiB) << result.out;
  EXPECT_LT(Number(task, "charged_bytes"), 302 * kMiB);
  EXPECT_GE(Number(task, "peak_charged_bytes"), Number(task, "charged_bytes"));
  EXPECT_GE(Number(task, "granted_bytes"), Number(task, "charged_bytes"));
  EXPECT_GE(Number(process, "untracked_bytes"), 40 * kMiB);
  uint64_t sum = Number(process, "untracked_bytes");
  for (const Json& each : books["tasks"]) sum += Number(each, "charged_bytes");
  EXPECT_EQ(Number(process, "charged_bytes"), sum);
  EXPECT_GE(Number(process, "peak_charged_bytes"), sum);
  EXPECT_GE(Number(pools, "execution_used_bytes"), Number(task, "charged_bytes")) << result.out;
  EXPECT_LE(Number(pools, "execution_used_bytes"), Number(pools, "execution_size_bytes"));
  EXPECT_GE(Number(pools, "unmanaged_bytes"), 40 * kMiB);
}

TEST_F(OnlyTouches, IsOverdrawnWhereItIsMoreThanThereIs) {
  const Result result = With("taskmem stats $P --json", "100M");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  const Json pools = Json::parse(result.out)["pools"];
  EXPECT_LE(Number(pools, "execution_used_bytes"), 100 * kMiB) << result.out;
  EXPECT_GE(Number(pools, "overdrawn_bytes"), 200 * kMiB);
}

TEST_F(OnlyTouches, IsShownByPsAndTop) {
  const Result ps = With("taskmem ps --json");
  ASSERT_TRUE(ps.Succeeded()) << ps.Describe();
  EXPECT_GE(Number(Json::parse(ps.out)["processes"][0], "charged_bytes"), 340 * kMiB) << ps.out;
  // It takes its time where the machine has other work.
  const Result top =
      With("until taskmem top --once $P | grep -q 'Execution 30'; do sleep 0.01; done");
  EXPECT_TRUE(top.Succeeded()) << top.Describe();
}

}  // namespace
}  // namespace taskmem::test
