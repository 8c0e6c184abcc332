// What a process is called, and the files that it leaves at its end without a command that waits
// for it: TASKMEM_LABEL, TASKMEM_STATS, TASKMEM_AUDIT.
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/command_folder.h"

namespace taskmem::test {
namespace {

using Json = nlohmann::json;

class ExitFilesTest : public CommandFolder {
 protected:
  // $UNDER before a program puts it under taskmem, with files in $FOLDER/out.
  Result Try(const std::string& script, Environment environment = {}) const {
    environment["TASKMEM_STATS_DIR"] = At("stats");
    environment["UNDER"] = "env LD_PRELOAD=" + At("libtaskmem.so") +
                           " TASKMEM_STATS=" + At("out/%l.json") +
                           " TASKMEM_AUDIT=" + At("out/%l.audit") + " TASKMEM_LABEL=";
    return Shell("mkdir -p $FOLDER/out; cd $FOLDER; " + script, std::move(environment));
  }

  std::string Content(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(At(name)).rdbuf();
    return text.str();
  }

  Json Parsed(const std::string& name) const { return Json::parse(Content(name), nullptr, false); }
};

TEST_F(ExitFilesTest, AreWhole) {
  const Result result = Try("${UNDER}one sh -c 'exit 7'; echo $?; ls stats");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.out, "7\n");  // and no books are left
  EXPECT_EQ(result.err, "");
  const Json stats = Parsed("out/one.json");
  ASSERT_TRUE(stats.is_object());
  EXPECT_EQ(stats["process"]["label"], "one");
  EXPECT_GT(stats["process"]["charged_bytes"], 0);
  const Json audit = Parsed("out/one.audit");
  ASSERT_TRUE(audit.is_object());
  EXPECT_EQ(audit["pid"], stats["process"]["pid"]);
}

TEST_F(ExitFilesTest, OfEachProcess) {
  const Result result =
      Try("export TASKMEM_STATS=$FOLDER/out/%p.json LD_PRELOAD=$FOLDER/libtaskmem.so; "
          "sh -c 'sh -c :; exec sh -c :'; unset LD_PRELOAD; ls out | wc -l");
  EXPECT_EQ(result.out, "2\n") << result.Describe();
}

TEST_F(ExitFilesTest, WithoutTheCommandAreSaidToBeMissing) {
  // The folder of the files is there: it is not what is not found.
  const Result result =
      Try("mkdir alone; cp libtaskmem.so alone; env LD_PRELOAD=$FOLDER/alone/libtaskmem.so "
          "TASKMEM_STATS=$FOLDER/out/a.json sh -c 'exit 7'; echo $?; ls out");
  EXPECT_EQ(result.out, "7\n");
  EXPECT_EQ(result.err, "taskmem: TASKMEM_STATS: " + At("out/a.json") +
                            " is not written: there is no command taskmem beside the library\n");
}

TEST_F(ExitFilesTest, OfAKilledProcessAreWrittenByWhoReadsItsBooks) {
  Result result = Try("${UNDER}two sh -c 'kill -s KILL $$'; ls out; taskmem ps");
  EXPECT_NE(result.err.find("left books"), std::string::npos) << result.Describe();
  const Json stats = Parsed("out/two.json");
  ASSERT_TRUE(stats.is_object()) << result.Describe();
  EXPECT_EQ(stats["process"]["label"], "two");
  // Once.
  result = Try("rm out/two.json; taskmem ps --dead; ls out");
  EXPECT_NE(result.out.find("  two  "), std::string::npos) << result.Describe();
  EXPECT_EQ(result.out.find("two.json"), std::string::npos) << result.Describe();
}

TEST_F(ExitFilesTest, BooksStayUntilTheyAreWritten) {
  // More than stay, older than they may be, in a folder that is not there yet.
  Result result =
      Try("for i in $(seq 70); do env LD_PRELOAD=$FOLDER/libtaskmem.so "
          "TASKMEM_STATS=$FOLDER/later/%p.json sh -c 'kill -s KILL $$'; done 2> /dev/null; "
          "taskmem ps 2> said; touch -d '3 days ago' stats/*; taskmem ps 2> /dev/null; "
          "ls stats | wc -l; mkdir later; taskmem ps; ls later | wc -l; ls stats | wc -l");
  std::istringstream lines(result.out);
  std::vector<std::string> words;
  for (std::string word; lines >> word;) words.push_back(word);
  const std::string all = result.Describe();
  EXPECT_NE(result.out.find("\n70\n"), std::string::npos) << all;
  EXPECT_NE(Content("said").find("/later/"), std::string::npos);
  ASSERT_GE(words.size(), 2u);
  EXPECT_EQ(words[words.size() - 2], "70") << all;
  EXPECT_EQ(words.back(), "64") << all;
}

TEST_F(ExitFilesTest, WhatCannotBeWrittenIsSaidInALine) {
  Result result = Try(
      "env LD_PRELOAD=$FOLDER/libtaskmem.so TASKMEM_STATS=$FOLDER/none/x sh -c 'exit 7'; echo $?; "
      "mkdir none; taskmem stats $(basename stats/*-* | cut -d- -f1) 2>&1; ls none");
  EXPECT_EQ(result.out.substr(0, 2), "7\n") << result.Describe();
  EXPECT_NE(result.err.find("taskmem: cannot write /"), std::string::npos) << result.Describe();
  EXPECT_EQ(result.out.find("killed"), std::string::npos) << result.Describe();
  EXPECT_NE(result.out.find("\nx\n"), std::string::npos) << result.Describe();
  result = Try("env LD_PRELOAD=$FOLDER/libtaskmem.so TASKMEM_STATS=/tmp/%d sh -c 'exit 7'");
  EXPECT_EQ(result.exit_status, 2) << result.Describe();
  EXPECT_NE(result.err.find("bad value '/tmp/%d' for TASKMEM_STATS: expected "), std::string::npos);
}

TEST_F(ExitFilesTest, BooksOfAnotherUserNameNoFileOfOurs) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  const Result result =
      Try("${UNDER}three sh -c 'kill -s KILL $$'; chown 65534 stats/*; taskmem ps; ls out");
  EXPECT_EQ(result.out.find("three.json"), std::string::npos) << result.Describe();
}

TEST_F(ExitFilesTest, ThePolicyThatEndsAProcessLeavesItsBooks) {
  Copy(ProgramPath("over_quota"), "over_quota");
  const Result result =
      Try("TASKMEM_QUOTA=8M TASKMEM_AT_LIMIT=kill ${UNDER}four ./over_quota 2> /dev/null; "
          "taskmem ps > /dev/null 2>&1; ls out");
  EXPECT_NE(result.out.find("four.json"), std::string::npos) << result.Describe();
}

TEST_F(ExitFilesTest, TheLabelStandsInTables) {
  const Result run = Try("taskmem run --label 'executor 3' -- sh -c :");
  EXPECT_TRUE(run.err.starts_with("taskmem: dash (executor 3), pid ")) << run.Describe();
  const Result set =
      Try("taskmem run --label first " + ProgramPath("set_label") + "; cat out/* 2> /dev/null");
  EXPECT_NE(set.err.find(" (second), pid "), std::string::npos) << set.Describe();
  EXPECT_EQ(Try("taskmem run --label " + std::string(64, 'x') + " true").exit_status, 2);
}

}  // namespace
}  // namespace taskmem::test
