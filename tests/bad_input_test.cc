// Bad input of a hundred kinds: each is one clear line, the right status, and nothing is started.
#include <algorithm>

#include "tests/support/command_folder.h"
#include "tests/support/text_lines.h"

namespace taskmem::test {
namespace {

class BadInputTest : public CommandFolder {
 protected:
  Result Try(const std::string& script) {
    return Shell("cd $FOLDER; " + script, {{"TASKMEM_STATS_DIR", At("stats")}});
  }
  void ExpectOneLine(const std::string& script, int status, const std::string& text) {
    const Result result = Try(script);
    EXPECT_EQ(result.exit_status, status) << script << result.Describe();
    EXPECT_EQ(result.out, "") << script;
    const std::vector<std::string> lines = Lines(result.err);
    ASSERT_EQ(lines.size(), 1u) << script << result.Describe();
    EXPECT_TRUE(lines[0].starts_with("taskmem: ")) << script << result.Describe();
    EXPECT_NE(lines[0].find(text), std::string::npos) << script << result.Describe();
    EXPECT_TRUE(std::all_of(lines[0].begin(), lines[0].end(),
                            [](unsigned char c) { return c >= ' ' && c != 0x7f; }))
        << script << result.Describe();
  }
};

struct BadValue {
  const char* option;
  const char* value;
};

// In the shell's quotes.
constexpr BadValue kBadValues[] = {
    {"quota", "0"},
    {"quota", "-1"},
    {"quota", "5Q"},
    {"quota", "1.5"},
    {"quota", "1e9"},
    {"quota", "' 5M'"},
    {"quota", "5M,6M"},
    {"quota", "99999999999999999999"},
    {"quota", "16384P"},
    {"quota", "0x100"},
    {"quota", "\"$(printf '5M\\\\033[2J')\""},
    {"quota", "\"$(printf '5M\\\\nno')\""},
    {"quota", "\"$(printf '\\\\377\\\\376')\""},
    {"memory", "0"},
    {"memory", "all"},
    {"memory", "50%"},
    {"memory", "'1 G'"},
    {"storage-fraction", "1"},
    {"storage-fraction", "-0.5"},
    {"storage-fraction", "half"},
    {"storage-fraction", "0,5"},
    {"storage-fraction", "nan"},
    {"storage-fraction", "1e-1"},
    {"share", "equal"},
    {"share", "Spark"},
    {"task-by", "threads"},
    {"task-by", "thread-name="},
    {"task-by", "'thread-name=('"},
    {"task-by", "'thread-name=[a'"},
    {"task-by", "'thread-name=(((a{200}){200}){200})'"},
    {"task-by", "thread-name=\"$(printf '%0300d' 1)\""},
    {"task-per-rename", "yes"},
    {"inherit", "sometimes"},
    {"residency-interval", "0"},
    {"residency-interval", "1"},
    {"residency-interval", "1h"},
    {"residency-interval", "999us"},
    {"at-limit", "stop"},
    {"at-limit", "KILL"},
    {"refuse-min", "-1"},
    {"refuse-min", "many"},
    {"refusal-budget", "-1"},
    {"refusal-budget", "1k"},
    {"refusal-budget", "18446744073709551616"},
    {"at-budget", "refuse"},
    {"soft-limit", "0%"},
    {"soft-limit", "100%"},
    {"soft-limit", "80"},
    {"spill-timeout", "5"},
    {"spill-timeout", "-1s"},
    {"spill-timeout", "forever"},
    {"spill-timeout", "9999999999999s"},
    {"wait", "1.5s"},
    {"wait", "soon"},
    {"spill-fsync", "1"},
    {"spill-compress", "zip"},
    {"overflow", "2"},
    {"overflow", "no"},
    {"overflow-size", "0"},
    {"overflow-size", "4095K"},
    {"overflow-size", "most"},
    {"at-thrashing", "swap"},
    {"sites", "1"},
    {"sites-interval", "0"},
    {"sites-interval", "2T"},
    {"sites-interval", "often"},
    {"log-level", "loud"},
    {"profile", "cobol"},
    {"redirect-libc", "yes"},
    {"pool-threads", "all"},
    {"adopt", "all"},
    {"adopt", "require="},
    {"stats-dir", "/\"$(printf '%0300d' 1)\""},
    {"log", "/\"$(printf '%0300d' 1)\""},
    {"spill-dir", "/\"$(printf '%0300d' 1)\""},
    {"plugin", "/\"$(printf '%0300d' 1)\""},
};

TEST_F(BadInputTest, ValuesOfOptions) {
  for (const BadValue& bad : kBadValues) {
    ExpectOneLine(std::string("taskmem run --") + bad.option + "=" + bad.value + " -- echo started",
                  2, std::string("--") + bad.option);
  }
}

// By the command, and by the library where it is preloaded without.
TEST_F(BadInputTest, ValuesOfVariables) {
  for (const auto& [variable, value] :
       {std::pair("QUOTA", "5Q"), std::pair("SHARE", "equal"), std::pair("TASK_BY", "'x=('"),
        std::pair("OVERFLOW", "x"), std::pair("WAIT", "1h"), std::pair("AT_LIMIT", "stop")}) {
    const std::string name = std::string("TASKMEM_") + variable;
    const std::string set = name + "=" + value + " ";
    ExpectOneLine(set + "taskmem run -- echo started", 2, name);
    ExpectOneLine(set + "taskmem ps", 2, name);
    ExpectOneLine(set + "LD_PRELOAD=$FOLDER/libtaskmem.so exec /bin/echo started", 2, name);
  }
}

TEST_F(BadInputTest, CommandLines) {
  struct Bad {
    const char* script;
    int status;
    const char* text;
  };
  folder_.Write("text", "not a program\n");
  for (const Bad& bad : {
           Bad{"taskmem", 2, "no command given"},
           Bad{"taskmem --no-such", 2, "--no-such"},
           Bad{"taskmem runn -- echo", 2, "no command runn"},
           Bad{"taskmem run", 2, "no program"},
           Bad{"taskmem run --", 2, "no program"},
           Bad{"taskmem run --quota", 2, "--quota"},
           Bad{"taskmem run --quota= -- echo", 2, "--quota="},
           Bad{"taskmem run --qouta 5M -- echo", 2, "--qouta"},
           Bad{"taskmem run --quiet=1 -- echo", 2, "quiet"},
           Bad{"taskmem run -x echo", 2, "-x"},
           Bad{"taskmem run --quiet --stats= -- echo", 2, "--stats="},
           Bad{"taskmem run --stats /no/such/file -- echo", 2, "/no/such/file"},
           Bad{"taskmem run --audit /no/such/file -- echo", 2, "/no/such/file"},
           Bad{"taskmem run --audit $FOLDER -- echo", 2, "cannot write"},
           Bad{"taskmem run --log $FOLDER -- echo", 2, "for --log"},
           Bad{"taskmem run --plugin /no/such.so -- echo", 2, "for --plugin"},
           Bad{"taskmem run --spill-dir text -- echo", 2, "for --spill-dir"},
           Bad{"taskmem run --stats-dir text -- echo", 2, "for --stats-dir"},
           Bad{"taskmem run -- no-such-program", 127, "no-such-program"},
           Bad{"taskmem run -- ./no/such", 127, "./no/such"},
           Bad{"taskmem run -- /", 126, "not an executable file"},
           Bad{"taskmem run -- ./text", 126, "not an executable file"},
           Bad{"taskmem run -- ''", 127, ""},
           Bad{"taskmem ps extra", 2, "extra"},
           Bad{"taskmem ps --quota 5M", 2, "--quota"},
           Bad{"taskmem ps --forget", 2, "--dead"},
           Bad{"taskmem stats", 2, "PID"},
           Bad{"taskmem stats x", 2, "x"},
           Bad{"taskmem stats 1.5", 2, "1.5"},
           Bad{"taskmem stats 99999999999", 2, "99999999999"},
           Bad{"taskmem stats 4194305", 1, "no process 4194305"},
           Bad{"taskmem stats 0", 1, "no process 0"},
           Bad{"taskmem stats -1", 1, "no process -1"},
           Bad{"taskmem stats 1 2", 2, "2"},
           Bad{"taskmem audit", 2, "PID"},
           Bad{"taskmem audit x", 2, "x"},
           Bad{"taskmem audit 4194305", 1, "no process 4194305"},
           Bad{"taskmem audit 1 --sites x", 2, "--sites"},
           Bad{"taskmem audit 1 --sites -1", 2, "--sites"},
           Bad{"taskmem audit 1 --by task", 2, "--by"},
           Bad{"taskmem audit 1 --output /no/such/file", 2, "/no/such/file"},
           Bad{"taskmem audit 1 --pprof", 2, "no value for --pprof"},
           Bad{"taskmem audit 1 --sites 1.5", 2, "--sites"},
           Bad{"taskmem audit 1 --sites 99999999999999999999999", 2, "--sites"},
           Bad{"taskmem audit 1 --by ''", 2, "--by"},
           Bad{"taskmem ''", 2, "no command ''"},
           Bad{"taskmem help ''", 2, "no command ''"},
           Bad{"taskmem stats ''", 2, "an empty word"},
           Bad{"taskmem stats ' 1'", 2, "' 1' for PID"},
           Bad{"taskmem stats 0x1", 2, "'0x1' for PID"},
           Bad{"taskmem stats 1 --output ''", 2, "--output"},
           Bad{"taskmem stats 1 --output=", 2, "--output="},
           Bad{"taskmem record ''", 2, "an empty word"},
           Bad{"taskmem record 1 --for ''", 2, "--for"},
           Bad{"taskmem doctor ''", 2, "an empty word"},
           Bad{"taskmem doctor x", 2, "'x' for PID"},
           Bad{"taskmem top ''", 2, "an empty word"},
           Bad{"taskmem top --once --sort ''", 2, "--sort"},
           Bad{"taskmem top --once --sort", 2, "no value for --sort"},
           Bad{"taskmem top \"$(printf '1\\033[2J')\"", 2, "'1?[2J' for PID"},
           Bad{"taskmem metrics --textfile ''", 2, "--textfile"},
           Bad{"taskmem metrics --textfile f --interval ''", 2, "--interval"},
           Bad{"taskmem metrics --textfile f --names ''", 2, "--names"},
           Bad{"taskmem report ''", 2, "an empty word"},
           Bad{"taskmem simulate ''", 2, "an empty word"},
           Bad{"taskmem set 1 --at-limit kill --memory ''", 2, "--memory"},
           Bad{"taskmem set 1 --memory 1G --wait ''", 2, "--wait"},
           Bad{"taskmem ps --json=1", 2, "--json takes no value"},
           Bad{"taskmem ps --dead=", 2, "--dead="},
           Bad{"taskmem run --stats '' -- echo", 2, "--stats"},
           Bad{"taskmem run --audit '' -- echo", 2, "--audit"},
           Bad{"taskmem run --record '' -- echo", 2, "--record"},
           Bad{"taskmem run --plugin '' -- echo", 2, "--plugin"},
           Bad{"taskmem run --label '' -- echo", 2, "--label"},
           Bad{"taskmem run --plugin text -- echo", 2, "no shared library"},
           Bad{"taskmem run --plugin $FOLDER -- echo", 2, "no shared library"},
           Bad{"taskmem run --plugin /dev/full -- echo", 2, "no shared library"},
           Bad{"taskmem run --plugin /bin/true -- echo", 2, "it is a program"},
           Bad{"mkfifo pipe; taskmem run --plugin pipe -- echo", 2, "no shared library"},
           Bad{"taskmem run --log pipe -- echo", 2, "for --log"},
           Bad{"taskmem run --log /proc/absent -- echo", 2, "for --log"},
           Bad{"taskmem run --spill-dir /proc -- echo", 2, "for --spill-dir"},
           Bad{"taskmem run --spill-dir /dev/shm -- echo", 2, "for --spill-dir"},
           Bad{"TASKMEM_SPILL_DIR=/proc taskmem run -- echo", 2, "for --spill-dir"},
           Bad{"taskmem run --stats-dir /proc -- echo", 2, "for --stats-dir"},
           Bad{"TASKMEM_STATS_DIR=text taskmem ps", 2, "TASKMEM_STATS_DIR"},
           Bad{"TASKMEM_STATS_DIR=text taskmem top --once", 2, "TASKMEM_STATS_DIR"},
           Bad{"taskmem help nothing", 2, "no command nothing"},
           Bad{"taskmem help run ps", 2, "ps"},
       }) {
    ExpectOneLine(bad.script, bad.status, bad.text);
  }
}

}  // namespace
}  // namespace taskmem::test
