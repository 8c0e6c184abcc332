// What the command says to a user who meets it for the first time.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "tests/support/command_folder.h"
#include "tests/support/text_lines.h"

namespace taskmem::test {
namespace {

class CommandLineTest : public CommandFolder {
 protected:
  Result Try(const std::string& script, Environment environment = {}) {
    environment["TASKMEM_STATS_DIR"] = At("stats");
    return Shell("cd $FOLDER; " + script, environment);
  }
  // One line that contains `text`, and status 2.
  void ExpectRefused(const std::string& script, const std::string& text) {
    const Result result = Try(script);
    EXPECT_EQ(result.exit_status, 2) << script << result.Describe();
    ASSERT_EQ(Lines(result.err).size(), 1u) << script << result.Describe();
    EXPECT_NE(result.err.find(text), std::string::npos) << script << result.Describe();
    EXPECT_EQ(result.out, "") << script;
  }
  std::string Content(const std::string& name) {
    std::ifstream file(At(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(CommandLineTest, AnUnknownCommandIsSaidBeforeItsArguments) {
  ExpectRefused("taskmem tpo", "no command tpo");
  ExpectRefused("taskmem sett 1 --quota 5M", "no command sett");
  ExpectRefused("taskmem help nothing", "no command nothing");
  ExpectRefused("taskmem", "no command given");
}

TEST_F(CommandLineTest, HelpFitsATerminal) {
  for (const char* words : {"--help", "help", "help run", "help ps", "help stats", "help audit",
                            "run --help", "audit --help"}) {
    const Result result = Try(std::string("taskmem ") + words);
    EXPECT_TRUE(result.Succeeded()) << words << result.Describe();
    EXPECT_NE(result.out.find("Usage: taskmem"), std::string::npos) << words;
    for (const std::string& line : Lines(result.out)) EXPECT_LE(ScreenColumns(line), 80u) << line;
  }
  const std::string run = Try("taskmem help run").out;
  for (const char* heading : {"\nTasks:\n", "\nQuotas and pools:\n", "\nAt the limit:\n",
                              "\nSpill and overflow:\n", "\nAudit:\n", "\nOutput:\n"}) {
    const size_t first = run.find(heading);
    EXPECT_NE(first, std::string::npos) << heading;
    EXPECT_EQ(run.find(heading, first + 1), std::string::npos) << heading << " stands twice";
  }
}

TEST_F(CommandLineTest, FilesThatCannotBeUsedStopItBeforeTheProgram) {
  folder_.Write("file", "");
  ExpectRefused("taskmem run --log nowhere/log -- echo started", "for --log");
  ExpectRefused("taskmem run --plugin nowhere.so -- echo started", "for --plugin");
  ExpectRefused("taskmem run --spill-dir file -- echo started", "for --spill-dir");
  ExpectRefused("taskmem run --stats nowhere/stats -- echo started", "cannot write");
}

TEST_F(CommandLineTest, RelativePathsAreTakenFromWhereItStarts) {
  std::filesystem::create_directory(At("other"));
  const Result result =
      Try("taskmem run --quiet --log a.log --stats a.json --spill-dir spill -- "
          "sh -c 'cd other; sh -c true'; TASKMEM_LOG=b.log taskmem run --quiet -- sh -c 'cd other; "
          "ls'");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  for (const char* name : {"a.log", "b.log", "a.json"}) {
    EXPECT_TRUE(std::filesystem::exists(At(name))) << name;
  }
  EXPECT_TRUE(std::filesystem::is_empty(At("other")));
  EXPECT_TRUE(std::filesystem::is_directory(At("spill")));
}

TEST_F(CommandLineTest, StatsMayGoToStandardError) {
  const Result result = Try("taskmem run --quiet --stats - -- echo hello");
  EXPECT_EQ(result.out, "hello\n");
  EXPECT_TRUE(result.err.starts_with("{\n  \"schema\": \"taskmem-stats-1\"")) << result.err;
}

TEST_F(CommandLineTest, AMisspelledVariableIsSaidOnce) {
  const std::string line =
      "taskmem: TASKMEM_QOUTA is not a variable of taskmem: is TASKMEM_QUOTA meant?\n";
  const std::string program = " sh -c 'sh -c true; sh -c true'";
  EXPECT_EQ(Try("TASKMEM_QOUTA=1 taskmem run --quiet --" + program).err, line);
  EXPECT_EQ(Try("TASKMEM_QOUTA=1 LD_PRELOAD=$FOLDER/libtaskmem.so" + program).err, line);
}

TEST_F(CommandLineTest, TheLogBeginsWithVersionAndOptions) {
  const Result result = Try("taskmem run --quiet --log log --quota 64M -- true");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  const std::vector<std::string> lines = Lines(Content("log"));
  ASSERT_FALSE(lines.empty());
  EXPECT_NE(lines[0].find(" info taskmem "), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find(" TASKMEM_QUOTA=64M"), std::string::npos) << lines[0];
}

TEST_F(CommandLineTest, AScriptOfManyProgramsEndsWithAShortTable) {
  const Result result = Try(
      "taskmem run -- sh -c 'i=0; while [ $i -lt 40 ]; do sh -c true; i=$((i+1)); done; exit 7'");
  EXPECT_EQ(result.exit_status, 7) << result.Describe();
  const std::vector<std::string> lines = Lines(result.err);
  EXPECT_LE(lines.size(), 10u) << result.err;
  EXPECT_NE(result.err.find("… 40 more processes, "), std::string::npos) << result.err;
  for (const std::string& text : lines) EXPECT_LE(ScreenColumns(text), 80u) << text;
}

TEST_F(CommandLineTest, BooksOfAKilledProcessStayUntilTheyAreForgotten) {
  const Result killed =
      Try("LD_PRELOAD=$FOLDER/libtaskmem.so sh -c 'echo $$ > pid; kill -s KILL $$'");
  EXPECT_FALSE(killed.Succeeded());
  for (int i = 0; i < 2; ++i) {
    const Result ps = Try("taskmem ps");
    EXPECT_EQ(Lines(ps.out).size(), 1u) << ps.Describe();
    EXPECT_EQ(ps.err, "taskmem: 1 process that was killed left books: taskmem ps --dead\n");
    const Result dead = Try("taskmem ps --dead");
    EXPECT_EQ(Lines(dead.out).size(), 2u) << dead.Describe();
    EXPECT_NE(dead.out.find("  dash "), std::string::npos) << dead.Describe();
    const Result stats = Try("taskmem stats $(cat pid)");
    EXPECT_TRUE(stats.Succeeded()) << stats.Describe();
    EXPECT_NE(stats.out.find(", killed, resident "), std::string::npos) << stats.Describe();
    EXPECT_NE(stats.out.find("at exit"), std::string::npos) << stats.Describe();
  }
  EXPECT_EQ(Try("taskmem ps --forget").exit_status, 2);
  EXPECT_EQ(Lines(Try("taskmem ps --dead --forget").out).size(), 2u);
  EXPECT_EQ(Lines(Try("taskmem ps --dead").out).size(), 1u);
  EXPECT_EQ(Try("taskmem stats $(cat pid)").exit_status, 1);
}

TEST_F(CommandLineTest, TheTableSaysThatAProgramWasKilled) {
  const Result result = Try("taskmem run -- sh -c 'kill -s KILL $$'");
  EXPECT_NE(result.err.find(", killed (signal 9), resident "), std::string::npos)
      << result.Describe();
}

// Something of 90 MiB is refused.
constexpr char kTooMuch[] =
    "held = []\n"
    "try:\n"
    "  for i in range(4): held.append(b'x' * (90 << 20))\n"
    "except MemoryError: pass\n";

TEST_F(CommandLineTest, ItEndsWithWhoWasRefusedFirst) {
  folder_.Write("job.py", kTooMuch);
  const std::string run = "taskmem run --quota 300M --log log ";
  const Result result = Try(run + "-- python3 job.py");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  const size_t at = result.err.find("taskmem: tid ");
  ASSERT_NE(at, std::string::npos) << result.Describe();
  std::string hint = result.err.substr(at);
  for (const std::string& line : Lines(hint)) EXPECT_LE(ScreenColumns(line), 80u) << line;
  // One sentence, wherever its lines end.
  for (size_t end; (end = hint.find("\n  ")) != std::string::npos;) hint.replace(end, 3, "");
  EXPECT_NE(hint.find("(python3) was the first to be refused memory: 90.0 MiB"), std::string::npos)
      << hint;
  EXPECT_NE(hint.find(" of its quota of 300.0 MiB, "), std::string::npos) << hint;
  // Which code had it, and the library that it is in.
  const size_t site = hint.find(" 270.0 MiB by ");
  ASSERT_NE(site, std::string::npos) << hint;
  EXPECT_NE(hint.find("python3", site), std::string::npos) << hint;
  EXPECT_TRUE(hint.ends_with(" `taskmem run --audit -` shows all\n")) << hint;
  // The log names the task alike.
  const std::string task = hint.substr(9, hint.find(" was the") - 9);
  EXPECT_NE(Content("log").find(" warn " + task + " refused 90.0 MiB"), std::string::npos)
      << task << Content("log");

  EXPECT_EQ(Try(run + "--quiet -- python3 job.py").err, "");
  const Result fits = Try("taskmem run --quota 2G -- python3 job.py");
  EXPECT_EQ(fits.err.find("refused memory"), std::string::npos) << fits.err;
  // That it was killed says who, too, and by the same name.
  const Result killed = Try(run + "--at-limit kill -- python3 job.py");
  EXPECT_EQ(killed.err.find("refused memory"), std::string::npos) << killed.err;
  EXPECT_NE(killed.err.find("(python3) is over its quota"), std::string::npos) << killed.err;
  EXPECT_EQ(killed.err.find("task 2814749"), std::string::npos) << killed.err;
}

TEST_F(CommandLineTest, ProgramsAreNamedByTheirScripts) {
  folder_.Write("job.py",
                "import subprocess, os\n"
                "print(subprocess.run(['taskmem', 'ps'], capture_output=True, text=True).stdout)\n"
                "print(subprocess.run(['taskmem', 'stats', str(os.getpid())],\n"
                "                     capture_output=True, text=True).stdout)\n");
  folder_.Write("outer.sh", "python3 job.py; exit 0");
  const Result result = Try("taskmem run -- bash outer.sh");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.err.find("taskmem: bash outer.sh, pid "), std::string::npos) << result.err;
  EXPECT_NE(result.out.find("  python3 job.py  "), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("taskmem: python3 job.py, pid "), std::string::npos) << result.out;
}

TEST_F(CommandLineTest, TheListOfProcessesIsThereAsJson) {
  const Result result = Try("taskmem run --quiet -- taskmem ps --json");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.out.find("\"schema\": \"taskmem-ps-1\""), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("\"charged_bytes\""), std::string::npos) << result.out;
}

TEST_F(CommandLineTest, ATableIsAsWideAsItsTerminal) {
  const std::string name(38, 'n');
  Copy("/bin/sleep", name);
  folder_.Write("list", "./" + name +
                            " 60 & until taskmem ps --json | grep -q nnn; do :; done; taskmem ps; "
                            "kill $!");
  // As `script` has it: the lines of a terminal end with a carriage return.
  const auto list = [&](int columns) {
    return Try("script -qec 'stty cols " + std::to_string(columns) +
               "; taskmem run --quiet -- sh ./list' /dev/null");
  };
  for (const auto& [columns, is_whole] :
       {std::pair(80, false), std::pair(60, false), std::pair(160, true)}) {
    const Result result = list(columns);
    EXPECT_TRUE(result.Succeeded()) << result.Describe();
    EXPECT_EQ(result.out.find(name) != std::string::npos, is_whole) << result.Describe();
    EXPECT_EQ(result.out.find("nn…nn") != std::string::npos, !is_whole) << result.Describe();
    for (const std::string& line : Lines(result.out)) {
      EXPECT_LE(ScreenColumns(line), static_cast<size_t>(std::max(columns, 80)) + 1) << line;
    }
  }
}

}  // namespace
}  // namespace taskmem::test
