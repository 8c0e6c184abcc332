// What `taskmem run` makes of the values its options are given.
#include "tests/support/command_folder.h"

namespace taskmem::test {
namespace {

class RunOptionsTest : public CommandFolder {
 protected:
  // Runs a shell that prints TASKMEM_OVERFLOW and TASKMEM_TASK_PER_RENAME.
  Result Run(const std::string& option) {
    Command command;
    command.preload = Preload::kOff;
    command.arguments = {folder_.path() + "/taskmem",
                         "run",
                         "--quiet",
                         option,
                         "/bin/sh",
                         "-c",
                         "echo $TASKMEM_OVERFLOW,$TASKMEM_TASK_PER_RENAME"};
    command.environment = {{"TASKMEM_STATS_DIR", folder_.path() + "/stats"}};
    return RunCommand(command);
  }
};

TEST_F(RunOptionsTest, AFlagMayHaveAValue) {
  EXPECT_EQ(Run("--overflow").out, "1,\n");
  EXPECT_EQ(Run("--overflow=1").out, "1,\n");
  EXPECT_EQ(Run("--overflow=0").out, "0,\n");
  EXPECT_EQ(Run("--task-per-rename").out, ",1\n");
  EXPECT_EQ(Run("--task-per-rename=0").out, ",0\n");
}

TEST_F(RunOptionsTest, OthersAreRefusedInOneLine) {
  for (const char* option :
       {"--overflow=5x",      "--overflow=2",      "--overflow=-1",       "--overflow=true",
        "--overflow=",        "--overflow={}",     "--task-per-rename=x", "--task-per-rename=",
        "--quiet=0",          "--quiet=5x",        "--spill-fsync=",      "--spill-fsync=1",
        "--redirect-libc=5x", "--adopt=yes",       "--pool-threads=",     "--quota=",
        "--sites=yes",        "--overflow-size=0", "--overflow-size=3M",  "--no-overflow"}) {
    const Result result = Run(option);
    EXPECT_EQ(result.exit_status, 2) << option << ' ' << result.Describe();
    EXPECT_EQ(result.out, "") << option;
    EXPECT_TRUE(result.err.starts_with("taskmem: ")) << option << ' ' << result.Describe();
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << option << ' ' << result.Describe();
  }
}

// A program that is killed cannot remove its directory in the spill directory; run does.
TEST_F(RunOptionsTest, DirectoriesOfKilledProcessesGo) {
  const std::string left = At("spill/taskmem-4000000-1");
  std::filesystem::create_directories(left);
  folder_.Write("spill/taskmem-4000000-1/block-0123456789abcdef-7", "x");
  folder_.Write("spill/taskmem-4000000-1/lock", "");
  folder_.Write("spill/somebody's", "x");
  Copy(ProgramPath("static_program"), "program");
  const Result result = Shell("taskmem run --quiet --spill-dir $FOLDER/spill $FOLDER/program",
                              {{"TASKMEM_STATS_DIR", At("stats")}});
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(std::filesystem::exists(At("spill/somebody's")));
}

TEST_F(RunOptionsTest, WhatFollowsTheProgramIsTheProgramsOwn) {
  Command command;
  command.preload = Preload::kOff;
  command.arguments = {folder_.path() + "/taskmem",
                       "run",
                       "--quota",
                       "1G",
                       "--quiet",
                       "echo",
                       "--overflow=",
                       "--quota="};
  command.environment = {{"TASKMEM_STATS_DIR", folder_.path() + "/stats"}};
  const Result result = RunCommand(command);
  EXPECT_EQ(result.out, "--overflow= --quota=\n") << result.Describe();
}

}  // namespace
}  // namespace taskmem::test
