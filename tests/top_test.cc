// `taskmem top` in a terminal: its screen, and what its keys do to the process.
#include <sys/wait.h>

#include <algorithm>
#include <fstream>

#include "tests/support/command_folder.h"
#include "tests/support/terminal.h"
#include "tests/support/text_lines.h"

namespace taskmem::test {
namespace {

class TopTest : public CommandFolder {
 protected:
  TopTest() { setenv("TASKMEM_STATS_DIR", At("stats").c_str(), 1); }
  ~TopTest() override {
    for (const pid_t pid : started_) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }

  // Runs requests_come HOW until the end of the test; returns when it is ready.
  pid_t Start(const std::string& how) {
    const std::string ready = At("ready" + std::to_string(started_.size()));
    const pid_t pid = fork();
    if (pid == 0) {
      if (freopen(ready.c_str(), "w", stdout) == nullptr) _exit(127);
      setenv("LD_PRELOAD", LibraryPath().c_str(), 1);
      execl(ProgramPath("requests_come").c_str(), "requests_come", how.c_str(), nullptr);
      _exit(127);
    }
    started_.push_back(pid);
    for (std::string line; line.empty(); usleep(1000)) {
      std::ifstream file(ready);
      std::getline(file, line);
      if (kill(pid, 0) != 0) break;
    }
    return pid;
  }

  static std::map<std::string, std::string> Environment(const std::string& term,
                                                        const std::string& locale = "C.UTF-8") {
    return {{"TERM", term}, {"LC_ALL", locale}, {"LD_PRELOAD", ""}};
  }
  std::vector<std::string> Command(pid_t pid, std::vector<std::string> more = {}) const {
    std::vector<std::string> command = {At("taskmem"), "top", std::to_string(pid), "--interval",
                                        "100ms"};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }

  static bool Has(const std::vector<std::string>& lines, const std::string& text) {
    return std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find(text) != std::string::npos;
    });
  }

  std::vector<pid_t> started_;
};

TEST_F(TopTest, AScreenAndItsKeys) {
  const pid_t pid = Start("spills");
  Terminal top(Command(pid), Environment("xterm-256color"));
  ASSERT_TRUE(top.AwaitText("asked")) << top.Text();
  const std::vector<std::string> lines = top.Lines();
  EXPECT_TRUE(lines[0].starts_with("taskmem top ")) << top.Text();
  EXPECT_TRUE(lines[1].starts_with("pid " + std::to_string(pid) + " requests_come")) << top.Text();
  EXPECT_TRUE(lines[2].starts_with("[") && lines[2].ends_with("]")) << top.Text();
  EXPECT_NE(lines[2].find('|'), std::string::npos) << top.Text();
  EXPECT_TRUE(lines[3].starts_with("memory ")) << top.Text();
  EXPECT_TRUE(lines[4].starts_with("a second: charged ")) << top.Text();
  EXPECT_TRUE(lines[5].starts_with("     TASK NAME ")) << top.Text();
  EXPECT_TRUE(lines[6].starts_with("        7 asked ")) << top.Text();
  EXPECT_NE(lines[6].find("%"), std::string::npos) << top.Text();
  EXPECT_TRUE(top.AwaitText("█")) << top.Text();
  EXPECT_TRUE(top.HasColors()) << top.Text();

  top.Type("u100M\r");
  EXPECT_TRUE(top.AwaitText("task 7: quota 100.0 MiB, was 64.0 MiB")) << top.Text();
  top.Type("s3M\r");
  EXPECT_TRUE(top.AwaitText("task 7: spilled ")) << top.Text();
  top.Type("\r");
  EXPECT_TRUE(top.AwaitText("consumers      hooks called ")) << top.Text();
  top.Type("a");
  EXPECT_TRUE(top.AwaitText("in memory      blocks ")) << top.Text();
  EXPECT_TRUE(top.AwaitText("SITES")) << top.Text();
  EXPECT_TRUE(top.AwaitText("CONSUMERS")) << top.Text();
  EXPECT_TRUE(top.AwaitText("MiB  cache, on a thread of taskmem's")) << top.Text();
  EXPECT_FALSE(Has(top.Lines(), "BLOCKS")) << top.Text();
  top.Type("\033/storage\r");
  EXPECT_TRUE(top.AwaitText("1 row of ")) << top.Text();
  top.Type("\ra");
  EXPECT_TRUE(top.AwaitText("BLOCKS in memory")) << top.Text();
  EXPECT_TRUE(top.AwaitText("   2.0 MiB  a cached block")) << top.Text();
  top.Type("\033/\r");
  EXPECT_TRUE(top.AwaitText("NAME")) << top.Text();
  top.Type("h");
  EXPECT_TRUE(top.AwaitText("another quota for the task")) << top.Text();
  top.Type("x/untr\r");
  EXPECT_TRUE(top.AwaitText("1 row of ")) << top.Text();
  EXPECT_FALSE(Has(top.Lines(), " asked "));
  top.Type("/\rp");
  EXPECT_TRUE(top.AwaitText("PAUSED")) << top.Text();
  top.Type("p>");
  EXPECT_TRUE(top.Await([&](const auto& now) { return !Has(now, "PAUSED") && Has(now, "QUOTAv"); }))
      << top.Text();

  top.Resize(132, 40);
  EXPECT_TRUE(top.Await([&](const auto& now) {
    return now[39].starts_with("q quit") && now[5].find("MINUTE") != std::string::npos;
  })) << top.Text();
  top.Resize(80, 24);
  EXPECT_TRUE(top.Await([&](const auto& now) { return now[23].starts_with("q quit"); }))
      << top.Text();

  // The filter has left another one selected.
  top.Type("kkkkey\r");
  EXPECT_TRUE(top.AwaitText("task 7: quota 1 B, was 100.0 MiB")) << top.Text();
  // The process goes on, and is refused.
  EXPECT_TRUE(top.Await([&](const auto& now) { return Has(now, " 999%"); })) << top.Text();
  top.Type("q");
  EXPECT_EQ(top.AwaitEnd(), 0);
  EXPECT_EQ(kill(pid, 0), 0);
}

TEST_F(TopTest, WithoutColorsOrUtf8) {
  const pid_t pid = Start("allocates");
  Terminal top(Command(pid), Environment("vt100", "C"));
  ASSERT_TRUE(top.AwaitText("asked")) << top.Text();
  ASSERT_TRUE(top.AwaitText("@")) << top.Text();
  EXPECT_FALSE(top.HasColors());
  EXPECT_TRUE(std::all_of(top.written().begin(), top.written().end(),
                          [](char c) { return static_cast<signed char>(c) > 0; }));
  top.Type("q");
  EXPECT_EQ(top.AwaitEnd(), 0);
  auto environment = Environment("xterm-256color");
  environment["NO_COLOR"] = "1";
  Terminal plain(Command(pid), environment);
  ASSERT_TRUE(plain.AwaitText("asked")) << plain.Text();
  EXPECT_FALSE(plain.HasColors());
}

TEST_F(TopTest, AllProcesses) {
  const pid_t first = Start("allocates");
  const pid_t second = Start("sleeps");
  Terminal top({At("taskmem"), "top", "--interval", "100ms"}, Environment("xterm"));
  ASSERT_TRUE(top.Await([&](const auto& lines) {
    return Has(lines, "    PID      TASK NAME") &&
           Has(lines, std::to_string(first) + "         7") &&
           Has(lines, std::to_string(second) + "         7");
  })) << top.Text();
  EXPECT_TRUE(top.AwaitText("2 processes")) << top.Text();
  kill(second, SIGKILL);
  EXPECT_TRUE(top.AwaitText("1 process,")) << top.Text();
  kill(first, SIGKILL);
  EXPECT_TRUE(top.AwaitText("no process under taskmem")) << top.Text();
  // Asked to end, it leaves the terminal as it was.
  kill(top.pid(), SIGTERM);
  EXPECT_EQ(top.AwaitEnd(), 0);
  EXPECT_NE(top.written().rfind("\033[?1049l"), std::string::npos);
}

TEST_F(TopTest, TheProcessMayEnd) {
  const pid_t pid = Start("allocates");
  Terminal top(Command(pid), Environment("xterm"));
  ASSERT_TRUE(top.AwaitText("asked")) << top.Text();
  kill(pid, SIGKILL);
  EXPECT_TRUE(top.AwaitText("has ended")) << top.Text();
  top.Type("u1M\rs\re\ra\r>q");
  EXPECT_EQ(top.AwaitEnd(), 0);
}

TEST_F(TopTest, OncePrintsOneScreen) {
  const pid_t pid = Start("allocates");
  const std::string number = std::to_string(pid);
  const Result result = Shell("taskmem top --once; echo; taskmem top " + number + " --once",
                              {{"TASKMEM_STATS_DIR", At("stats")}});
  ASSERT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.out.find('\033'), std::string::npos);
  EXPECT_NE(result.out.find("        7 asked "), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("        - untracked"), std::string::npos) << result.out;
  for (const std::string& line : Lines(result.out)) EXPECT_LE(ScreenColumns(line), 80u) << line;
}

TEST_F(TopTest, BadInputIsOneLine) {
  struct Bad {
    const char* arguments;
    int status;
    const char* text;
  };
  for (const Bad& bad : {
           Bad{"x", 2, "PID"},
           Bad{"0", 2, "PID"},
           Bad{"-3", 2, "-3"},
           Bad{"4194303", 1, "no process 4194303"},
           Bad{"--interval 0", 2, "--interval"},
           Bad{"--interval often", 2, "--interval"},
           Bad{"--interval 99ms", 2, "--interval"},
           Bad{"--interval 2h", 2, "--interval"},
           Bad{"--sort size", 2, "--sort"},
           Bad{"--once=yes", 2, "once"},
           Bad{"--no-such", 2, "--no-such"},
           Bad{"", 1, "--once"},
           Bad{"1 2", 2, "2"},
       }) {
    const Result result = Shell(std::string("taskmem top ") + bad.arguments + " < /dev/null",
                                {{"TASKMEM_STATS_DIR", At("stats")}});
    EXPECT_EQ(result.exit_status, bad.status) << bad.arguments << result.Describe();
    EXPECT_EQ(result.out, "") << bad.arguments;
    EXPECT_EQ(Lines(result.err).size(), 1u) << bad.arguments << result.Describe();
    EXPECT_NE(result.err.find(bad.text), std::string::npos) << bad.arguments << result.Describe();
  }
  Terminal top({At("taskmem"), "top"}, Environment("no-such-terminal"));
  EXPECT_TRUE(top.AwaitText("no-such-terminal is not known")) << top.Text();
  EXPECT_EQ(WEXITSTATUS(top.AwaitEnd()), 1);
}

}  // namespace
}  // namespace taskmem::test
