// `taskmem set`: a running process changes what it is asked for, or says why not.
#include <sstream>

#include "tests/support/command_folder.h"
#include "tests/support/text_lines.h"

namespace taskmem::test {
namespace {

// $P is a process that runs requests_come HOW; $C a child of its. Loaded machines answer later.
class SetTest : public CommandFolder {
 protected:
  Result With(const std::string& how, const std::string& script) const {
    return Shell("rm -f $FOLDER/ready; LD_PRELOAD=$FOLDER/libtaskmem.so " +
                     ProgramPath("requests_come") + " " + how +
                     " > $FOLDER/ready & P=$!; "
                     "until grep -qs ready $FOLDER/ready; do kill -0 $P || exit 99; sleep 0.01; "
                     "done; C=$(cut -d' ' -f2 $FOLDER/ready); set='taskmem set --wait 60s'; " +
                     script + "; s=$?; kill $P; [ $C = 0 ] || kill $C; exit $s",
                 {{"TASKMEM_STATS_DIR", At("stats")}});
  }
};

TEST_F(SetTest, AQuotaIsChanged) {
  for (const char* how : {"allocates", "maps", "begins"}) {
    const Result result = With(how,
                               "$set $P --task 7 --quota 128M && $set $P --task 7 --quota none && "
                               "$set $P --task 7 --quota 30M && taskmem stats $P");
    ASSERT_TRUE(result.Succeeded()) << how << result.Describe();
    const std::vector<std::string> lines = Lines(result.out);
    ASSERT_GE(lines.size(), 3u) << result.Describe();
    EXPECT_TRUE(lines[0].starts_with("task 7: quota 128.0 MiB, was 64.0 MiB; holds 2")) << lines[0];
    EXPECT_TRUE(lines[1].starts_with("task 7: quota none, was 128.0 MiB; holds 2")) << lines[1];
    EXPECT_TRUE(lines[2].starts_with("task 7: quota 30.0 MiB, was none; holds 2")) << lines[2];
    EXPECT_NE(result.out.find("  30.0 MiB\n"), std::string::npos) << result.Describe();
    EXPECT_EQ(result.err, "") << how;
  }
}

TEST_F(SetTest, FromThenOnTheQuotaRefuses) {
  const Result result = With("allocates",
                             "$set $P --task 7 --quota 22M && until taskmem stats $P --json | "
                             "grep -q '\"refusals\": [1-9]'; do sleep 0.01; done");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
}

TEST_F(SetTest, MemoryIsChanged) {
  const Result result = With("allocates",
                             "$set $P --memory 100M && taskmem stats $P && $set $P --memory 22M && "
                             "until taskmem stats $P --json | grep -q '\"refusals\": [1-9]'; do "
                             "sleep 0.01; done; $set $P --memory none");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.out.find("--memory: 100.0 MiB, was "), std::string::npos) << result.Describe();
  EXPECT_NE(result.out.find("memory 100.0 MiB: execution "), std::string::npos)
      << result.Describe();
  EXPECT_NE(result.out.find("--memory: none, was 22.0 MiB; "), std::string::npos)
      << result.Describe();
}

TEST_F(SetTest, ATaskIsAskedToSpill) {
  const Result result =
      With("spills", "$set $P --spill 7 3M && $set $P --spill 7 && ! $set $P --spill 8");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  const std::vector<std::string> lines = Lines(result.out);
  ASSERT_EQ(lines.size(), 2u) << result.Describe();
  EXPECT_TRUE(lines[0].starts_with("task 7: spilled ")) << lines[0];
  EXPECT_TRUE(lines[1].starts_with("task 7: spilled ")) << lines[1];
  // Both together are the ten blocks of the hook.
  double first = 0;
  double second = 0;
  EXPECT_EQ(sscanf(lines[0].c_str(), "task 7: spilled %lf MiB", &first), 1) << lines[0];
  EXPECT_EQ(sscanf(lines[1].c_str(), "task 7: spilled %lf MiB", &second), 1) << lines[1];
  EXPECT_GE(first, 2.0) << lines[0];
  EXPECT_GE(first + second, 9.0) << result.Describe();
  EXPECT_NE(result.err.find(" has no live task 8\n"), std::string::npos) << result.Describe();
}

TEST_F(SetTest, WhatHappensAtTheLimitIsChanged) {
  const Result result =
      With("allocates",
           "$set $P --at-limit overdraw && $set $P --task 7 --quota 22M && until taskmem stats $P "
           "--json | grep -q '\"overdrafts\": [1-9]'; do sleep 0.01; done; $set $P --at-limit "
           "kill; wait $P; [ $? = 137 ]");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.out.find("--at-limit: overdraw, was refuse\n"), std::string::npos);
  EXPECT_NE(result.out.find("--at-limit: kill, was overdraw\n"), std::string::npos);
}

TEST_F(SetTest, WhoDoesNothingDoesNotAnswer) {
  const Result result = With("sleeps", "taskmem set $P --wait 50ms --task 7 --quota 5M");
  EXPECT_EQ(result.exit_status, 1) << result.Describe();
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find("did not answer in time, nothing was changed"), std::string::npos)
      << result.Describe();
}

// Nor does it do later what it was asked for then.
TEST_F(SetTest, WhatWasNotAnsweredIsTakenBack) {
  const Result result =
      With("allocates",
           "kill -STOP $P; until grep -q '^State:.T' /proc/$P/status; do sleep 0.01; "
           "done; ! taskmem set $P --wait 50ms --task 7 --quota 5M; "
           "kill -CONT $P; $set $P --memory 1G && $set $P --task 7 --quota 99M");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.err.find("did not answer in time, nothing was changed"), std::string::npos)
      << result.Describe();
  EXPECT_NE(result.out.find("task 7: quota 99.0 MiB, was 64.0 MiB"), std::string::npos)
      << result.Describe();
}

TEST_F(SetTest, AChildDoesNotAnswerForItsParent) {
  const Result result = With("forks",
                             "until taskmem stats $C > $FOLDER/listed 2>&1; do sleep 0.01; done; "
                             "$set $C --task 7 --quota 99M && "
                             "! taskmem set $P --wait 100ms --task 7 --quota 5M && "
                             "$set $C --task 7 --quota 98M");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  const std::vector<std::string> lines = Lines(result.out);
  ASSERT_EQ(lines.size(), 2u) << result.Describe();
  EXPECT_TRUE(lines[0].starts_with("task 7: quota 99.0 MiB, was 64.0 MiB; ")) << lines[0];
  EXPECT_TRUE(lines[1].starts_with("task 7: quota 98.0 MiB, was 99.0 MiB; ")) << lines[1];
}

TEST_F(SetTest, ManyAskAtOnce) {
  const Result result = With("allocates",
                             "for i in 1 2 3 4 5 6 7 8; do $set $P --task 7 --quota $((i + 64))M "
                             ">> $FOLDER/many & ps=\"$ps $!\"; done; wait $ps; cat $FOLDER/many");
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(Lines(result.out).size(), 8u) << result.Describe();
}

TEST_F(SetTest, AKilledCommandLeavesNothingStanding) {
  // It is killed while it waits; who comes next is answered about his own.
  const Result result =
      With("sleeps",
           "$set $P --task 7 --quota 1M & k=$!; "
           "until grep -q FLOCK.*$k /proc/locks; do sleep 0.01; done; kill -9 $k; "
           "! taskmem set $P --wait 50ms --task 7 --quota 2M && "
           "taskmem stats $P --json | grep -q '\"quota_bytes\": 67108864'");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
}

TEST_F(SetTest, BooksOfOthersAreNotWrittenTo) {
  if (geteuid() != 0) GTEST_SKIP() << "root alone can be somebody else";
  const Result result = With("allocates",
                             "chmod 755 $FOLDER $FOLDER/stats; "
                             "! setpriv --reuid 65534 --clear-groups $set $P --task 7 --quota 5M");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.err.find("no process "), std::string::npos) << result.Describe();
}

TEST_F(SetTest, ForgedRequestsDamageNothing) {
  const Result result = Shell("LD_PRELOAD=$FOLDER/libtaskmem.so " + ProgramPath("requests_forged"),
                              {{"TASKMEM_STATS_DIR", At("stats")}});
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
}

TEST_F(SetTest, BadInputIsOneLine) {
  struct Bad {
    const char* arguments;
    int status;
    const char* text;
  };
  for (const Bad& bad : {
           Bad{"", 2, "PID"},
           Bad{"$$", 2, "nothing to set"},
           Bad{"x --memory 1G", 2, "PID"},
           Bad{"$$ --memory 0", 2, "--memory"},
           Bad{"$$ --memory 1Q", 2, "--memory"},
           Bad{"$$ --memory=", 2, "--memory"},
           Bad{"$$ --task 7", 2, "--task and --quota"},
           Bad{"$$ --quota 7M", 2, "--task and --quota"},
           Bad{"$$ --task x --quota 7M", 2, "--task"},
           Bad{"$$ --task -1 --quota 7M", 2, "--task"},
           Bad{"$$ --task 18446744073709551615 --quota 7M", 2, "--task"},
           Bad{"$$ --task 'tid x' --quota 7M", 2, "--task"},
           Bad{"$$ --task 7 --quota 0", 2, "--quota"},
           Bad{"$$ --spill", 2, "--spill"},
           Bad{"$$ --spill 7 0", 2, "--spill"},
           Bad{"$$ --spill 7 much", 2, "--spill"},
           Bad{"$$ --at-limit stop", 2, "--at-limit"},
           Bad{"$$ --memory 1G --wait soon", 2, "--wait"},
           Bad{"$$ --memory 1G --no-such", 2, "--no-such"},
           Bad{"$$ --memory \"$(printf '1\\033[2J')\"", 2, "--memory"},
           Bad{"$$ --memory 1G", 1, "no process"},
           Bad{"4194303 --memory 1G", 1, "no process 4194303"},
           Bad{"-5 --memory 1G", 2, "-5"},
       }) {
    const Result result = Shell(std::string("taskmem set ") + bad.arguments);
    EXPECT_EQ(result.exit_status, bad.status) << bad.arguments << result.Describe();
    EXPECT_EQ(result.out, "") << bad.arguments;
    EXPECT_EQ(Lines(result.err).size(), 1u) << bad.arguments << result.Describe();
    EXPECT_NE(result.err.find(bad.text), std::string::npos) << bad.arguments << result.Describe();
    EXPECT_EQ(result.err.find('\033'), std::string::npos) << bad.arguments;
  }
}

}  // namespace
}  // namespace taskmem::test
