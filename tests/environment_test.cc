// The environment: who inherits the preload, who loses it, and what happens
// where it cannot work. Each process has books of its own.
#include <filesystem>

#include "tests/support/program_test.h"
#include "tests/support/stats_file.h"

namespace taskmem::test {
namespace {

class EnvironmentTest : public ::testing::Test {
 protected:
  Result Shell(const std::string& script, Environment environment = {}) {
    Command command;
    command.arguments = {"/bin/sh",
                         "-c",
                         script,
                         "sh",
                         ProgramPath("own_stats"),
                         ProgramPath("static_program"),
                         ProgramPath("plain_start")};
    command.environment = std::move(environment);
    command.environment.try_emplace("TASKMEM_STATS_DIR", stats_.path());
    return RunCommand(command);
  }

  int StatsFiles() const {
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(stats_.path())) {
      ++count;
    }
    return count;
  }

  TemporaryFolder stats_;
};

TEST_F(EnvironmentTest, ChildrenInheritThePreload) {
  const Result result = Shell("\"$1\"; \"$1\" & wait; (exec \"$1\")");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.out, "yes\nyes\nyes\n") << result.Describe();
  EXPECT_EQ(result.err, "");
}

TEST_F(EnvironmentTest, ACleanEnvironmentLosesIt) {
  const Result result = Shell("env -i \"$1\"; env -i TASKMEM_STATS_DIR=$TASKMEM_STATS_DIR \"$1\"");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.out, "no\nno\n");
  EXPECT_EQ(result.err, "");
}

TEST_F(EnvironmentTest, AStaticProgramIsLeftAlone) {
  const Result result = Shell("\"$2\"", {{"TASKMEM_SESSION", "test"}});
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
  const StatsFile stats(stats_.path().c_str(), std::stoi(result.out));
  // `sh -c` with one command becomes that command: its file was made by the shell.
  if (stats.ok()) {
    EXPECT_EQ(std::string(stats.header().program).find("static_program"), std::string::npos);
  }
}

TEST_F(EnvironmentTest, StatsFilesGoWithTheirProcesses) {
  EXPECT_TRUE(Shell("\"$1\"; \"$3\"").Succeeded());
  EXPECT_EQ(StatsFiles(), 0);
}

TEST_F(EnvironmentTest, StatsFilesStayForASession) {
  const Result result = Shell("\"$3\"; \"$3\"; true", {{"TASKMEM_SESSION", "test"}});
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(StatsFiles(), 3);
  const StatsFile shell(stats_.path().c_str(), result.pid);
  ASSERT_TRUE(shell.ok());
  EXPECT_STREQ(shell.header().session, "test");
  EXPECT_EQ(shell.header().state.load(), ProcessState::kExited);
  EXPECT_GT(shell.header().peak_resident_bytes.load(), 0u);
}

TEST_F(EnvironmentTest, AnUnusableStatsFolderIsReportedAndSurvived) {
  const Result result = Shell("exec \"$3\"", {{"TASKMEM_STATS_DIR", "/dev/null/nowhere"}});
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_TRUE(result.err.starts_with("taskmem: ")) << result.Describe();
}

TEST_F(EnvironmentTest, ABadOptionIsReported) {
  const Result result = Shell("exec \"$3\"", {{"TASKMEM_QUOTA", "much"}});
  EXPECT_NE(result.err.find("taskmem: "), std::string::npos) << result.Describe();
  EXPECT_NE(result.err.find("TASKMEM_QUOTA"), std::string::npos) << result.Describe();
}

}  // namespace
}  // namespace taskmem::test
