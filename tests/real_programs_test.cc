// Real programs do the same with the preload as without it, and with a task for
// each thread.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

#define SKIP_WITHOUT(program) \
  if (FindInPath(program).empty()) GTEST_SKIP() << "no " << program

struct Way {
  const char* name;
  Preload preload;
  Environment environment;
};

const Way kPlain = {"plain", Preload::kOff, {}};
const Way kPreloaded = {"preloaded", Preload::kOn, {}};
const Way kByThread = {"by thread", Preload::kOn, {{"TASKMEM_TASK_BY", "thread"}}};

Result RunShell(const Way& way, const std::string& directory, const std::string& script,
                const std::string& argument = "") {
  TemporaryFolder stats;
  Command command;
  command.arguments = {"/bin/bash", "-c", "set -e; " + script, "bash", argument};
  command.preload = way.preload;
  command.environment = way.environment;
  command.environment.try_emplace("HOME", directory);
  command.environment.try_emplace("LC_ALL", "C");
  if (way.preload == Preload::kOn) {
    command.environment.try_emplace("TASKMEM_STATS_DIR", stats.path());
  }
  command.directory = directory;
  return RunCommand(command);
}

// Runs the script in a fresh folder in each way: what it prints is the same.
void ExpectSame(const std::string& script, const std::string& argument = "") {
  std::string expected;
  for (const Way& way : {kPlain, kPreloaded, kByThread}) {
    TemporaryFolder folder;
    const Result result = RunShell(way, folder.path(), script, argument);
    ASSERT_TRUE(result.Succeeded()) << way.name << "\n" << result.Describe();
    EXPECT_EQ(result.err.find("taskmem: "), std::string::npos) << way.name << "\n" << result.err;
    if (way.preload == Preload::kOff) expected = result.out;
    EXPECT_NE(expected, "");
    EXPECT_EQ(result.out, expected) << way.name;
  }
}

TEST(RealPrograms, Python) {
  SKIP_WITHOUT("python3");
  ExpectSame("python3 \"$1\"", Runfile("tests/real/threads.py"));
}

TEST(RealPrograms, Sort) {
  ExpectSame(
      "seq 1 300000 | awk '{ print ($1 * 7919) % 1000003, $1 }' > numbers;"
      "sort --parallel=4 -S 16M -n numbers | cksum; sort -k2 -r numbers | cksum;"
      "sort -u -k1,1 numbers | wc -l");
}

TEST(RealPrograms, Gcc) {
  SKIP_WITHOUT("gcc");
  ExpectSame(
      "for i in $(seq 1 1500); do "
      "echo \"int f$i(int n) { int s = $i; for (int k = 0; k < n; ++k) s += k * $i % 7; "
      "return s ^ n; }\"; done > many.c;"
      "gcc -O2 -c many.c -o many.o; cksum many.o");
}

TEST(RealPrograms, Sqlite) {
  SKIP_WITHOUT("sqlite3");
  ExpectSame("sqlite3 :memory: < \"$1\"", Runfile("tests/real/joins.sql"));
}

// It maps more than 50 MiB before it needs any.
TEST(RealPrograms, RubyFitsAQuotaAboveWhatItTouches) {
  SKIP_WITHOUT("ruby");
  const TemporaryFolder folder;
  const Result result =
      RunShell({"with a quota", Preload::kOn, {{"TASKMEM_QUOTA", "48M"}}}, folder.path(),
               "ruby -e 'a = (1..100_000).map(&:to_s); Thread.new { puts a.map(&:to_i).sum }.join;"
               "Fiber.new { puts a.size }.resume'");
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.out, "5000050000\n100000\n");
}

TEST(RealPrograms, Git) {
  SKIP_WITHOUT("git");
  ExpectSame(
      "export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='1700000000 +0000';"
      "export GIT_COMMITTER_DATE='1700000000 +0000';"
      "export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a;"
      "export GIT_COMMITTER_EMAIL=a@b;"
      "git init -q -b main repo; cd repo;"
      "for i in $(seq 1 30); do seq $i $((i * 50)) > file$i; git add -A;"
      "git commit -q -m \"change $i\"; done;"
      "git repack -q -a -d; git fsck --strict; git log --stat | cksum; git gc -q;"
      "git log --format=%H -p | cksum; git rev-parse HEAD");
}

// A socket in the folder, no port: several of these may run at once.
TEST(RealPrograms, Redis) {
  SKIP_WITHOUT("redis-server");
  SKIP_WITHOUT("redis-benchmark");
  SKIP_WITHOUT("redis-cli");
  ExpectSame(
      "redis-server --port 0 --unixsocket s --save '' --appendonly no --io-threads 2"
      " > log 2>&1 & server=$!;"
      "trap 'kill -9 $server 2> /dev/null || true' EXIT;"
      "until redis-cli -s s ping > /dev/null 2>&1; do kill -0 $server; done;"
      "redis-benchmark -s s -q -n 20000 -r 1000 -d 300 -P 8 -t set,get,lpush,lrange_100"
      " > /dev/null;"
      "redis-cli -s s flushall;"
      "seq 1 20000 | awk '{ print \"SET key\" $1 \" \" $1 * 7919 }' | redis-cli -s s --pipe "
      "| tail -n 1; redis-cli -s s dbsize; redis-cli -s s get key777;"
      "redis-cli -s s shutdown nosave; wait $server; echo stopped");
}

constexpr char kJava[] = "java -Xmx64m -Xshare:auto ";

TEST(RealPrograms, Java) {
  SKIP_WITHOUT("java");
  ExpectSame(std::string(kJava) + "\"$1\"", Runfile("tests/real/DirectBuffers.java"));
}

// A refusal reaches a JVM as an OutOfMemoryError that it catches and survives.
TEST(RealPrograms, JavaSurvivesRefusals) {
  SKIP_WITHOUT("java");
  TemporaryFolder folder;
  const Way way = {"with a quota", Preload::kOn, {{"TASKMEM_QUOTA", "256M"}}};
  const Result result =
      RunShell(way, folder.path(), std::string(kJava) + "-XX:MaxDirectMemorySize=8g \"$1\" fill",
               Runfile("tests/real/DirectBuffers.java"));
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_TRUE(result.out.starts_with("caught\n")) << result.Describe();
}

}  // namespace
}  // namespace taskmem::test
