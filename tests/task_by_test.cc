// Tasks without the API: by thread, by thread name, by inheritance.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

constexpr char kByName[] = "thread-name=^task-([0-9]+)";

TEST(TaskBy, Thread) { ExpectSuccess({"task_by", "thread"}, {{"TASKMEM_TASK_BY", "thread"}}); }

TEST(TaskBy, ThreadName) { ExpectSuccess({"task_by", "name"}, {{"TASKMEM_TASK_BY", kByName}}); }

TEST(TaskBy, Rename) {
  ExpectSuccess({"task_by", "rename"},
                {{"TASKMEM_TASK_BY", kByName}, {"TASKMEM_TASK_PER_RENAME", "1"}});
}

TEST(TaskBy, None) {
  ExpectSuccess({"task_by", "none"}, {{"TASKMEM_TASK_BY", "none"}, {"TASKMEM_QUOTA", "8M"}});
}

TEST(TaskBy, Number) {
  ExpectSuccess({"task_by", "number"}, {{"TASKMEM_TASK_BY", "thread-name=^(worker|[0-9]+)"}});
}

TEST(TaskBy, SaysThatNoNameMatched) {
  const Result result =
      RunProgram({"task_by", "unmatched"}, {{"TASKMEM_TASK_BY", "thread-name=^nobody$"}});
  EXPECT_TRUE(result.Succeeded());
  EXPECT_EQ(result.err,
            "taskmem: no thread had a name that matches thread-name=^nobody$; names were "
            "'task_by', 'some thread', 'other?thread'\n");
  // One that did is enough.
  ExpectSuccess({"task_by", "unmatched"}, {{"TASKMEM_TASK_BY", "thread-name=other"}});
  // A program without threads is no place for a pattern of threads.
  ExpectSuccess({"alignment_matrix"}, {{"TASKMEM_TASK_BY", "thread-name=^nobody$"}});
}

// A real JVM, which cuts what the system sees at 15 bytes.
TEST(TaskBy, WholeNameOfAJavaThread) {
  const std::string java = FindInPath("java");
  if (java.empty()) GTEST_SKIP() << "no java";
  for (const char* per_rename : {"0", "1"}) {
    TemporaryFolder stats;
    Command command;
    command.arguments = {java, "-Xint", "-XX:+UseSerialGC", Runfile("tests/real/ThreadNames.java")};
    command.environment = {{"TASKMEM_TASK_BY", "thread-name=TID ([0-9]+)"},
                           {"TASKMEM_TASK_PER_RENAME", per_rename},
                           {"TASKMEM_QUOTA", "64M"},
                           {"TASKMEM_STATS_DIR", stats.path()}};
    const Result result = RunCommand(command);
    EXPECT_TRUE(result.Succeeded()) << result.Describe();
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(result.out,
              "task 11: refused\ntask 12: refused\nhelper of 12: refused\nidle: 80 MiB\n"
              "born as 13: refused\nborn as two: 2 of 40 MiB\n");
  }
}

class Inherit : public ::testing::TestWithParam<std::string> {};

TEST_P(Inherit, TaskOfTheCreator) {
  ExpectSuccess({"inherit", GetParam()}, {{"TASKMEM_INHERIT", GetParam()}});
}

INSTANTIATE_TEST_SUITE_P(, Inherit, ::testing::Values("until-end", "always", "never"),
                         [](const auto& info) {
                           return info.param == "until-end" ? "until_end" : info.param;
                         });

TEST(InheritDefault, IsUntilTheEnd) { ExpectSuccess({"inherit", "until-end"}); }

}  // namespace
}  // namespace taskmem::test
