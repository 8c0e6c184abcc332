// Real programs: at most 1 % of what they hold in memory is left unexplained, at their peak, at
// rest and at their end, and everything adds up.
#include <unistd.h>

#include "tests/support/audit_run.h"

namespace taskmem::test {
namespace {

// What a script begins with. It leaves audits in its folder: NAME.json.
constexpr char kFunctions[] = R"sh(
set -e
audited() { "$TASKMEM" run --quiet --audit "$1.json" -- "${@:2}" > "$1.out"; }
audit_now() { "$TASKMEM" audit "$2" --json > "$1.json"; }
)sh";

class ExplainedTest : public AuditFolder {
 protected:
  // Runs the script, and looks at the audits that it leaves, at least `least` of them.
  void ExpectAllExplained(const std::string& script, size_t least,
                          const std::string& argument = "") {
    const TemporaryFolder work("/tmp");
    Command command;
    command.preload = Preload::kOff;
    command.arguments = {"/bin/bash", "-c", kFunctions + script, "bash", argument};
    command.environment = {{"TASKMEM", folder_.path() + "/taskmem"},
                           {"TASKMEM_STATS_DIR", work.path() + "/stats"},
                           {"HOME", work.path()},
                           {"LC_ALL", "C"}};
    command.directory = work.path();
    command.timeout_seconds = 400;
    const Result result = RunCommand(command);
    ASSERT_TRUE(result.Succeeded()) << result.Describe();
    size_t audits = 0;
    for (const auto& entry : std::filesystem::directory_iterator(work.path())) {
      if (entry.path().extension() != ".json") continue;
      SCOPED_TRACE(entry.path().filename());
      const Json json = Json::parse(std::ifstream(entry.path()), nullptr, false);
      ASSERT_TRUE(json.is_object());
      const bool is_of_run = json.contains("peak");
      for (const Json& audit :
           is_of_run ? std::vector<Json>{json["peak"], json["at_exit"]} : std::vector<Json>{json}) {
        ExpectExact(audit);
        ExpectExplained(audit);
        ++audits;
      }
    }
    EXPECT_GE(audits, least);
  }
};

#define SKIP_WITHOUT(program) \
  if (FindInPath(program).empty()) GTEST_SKIP() << "no " << program

TEST_F(ExplainedTest, Python) {
  SKIP_WITHOUT("python3");
  ExpectAllExplained(R"sh(
cat > work.py <<'END'
import json, mmap, threading
rows = [{"key": i, "text": str(i) * 5} for i in range(100000)]
copy = json.loads(json.dumps(rows))
shared = mmap.mmap(-1, 20 << 20)
shared[:] = b"x" * (20 << 20)
def work():
    global kept
    kept = [bytes(100) for i in range(100000)]
threads = [threading.Thread(target=work) for i in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
END
audited python python3 work.py
)sh",
                     2);
}

TEST_F(ExplainedTest, Gcc) {
  SKIP_WITHOUT("gcc");
  ExpectAllExplained(R"sh(
for i in $(seq 1 1500); do
  echo "int f$i(int n) { int s = $i; for (int k = 0; k < n; ++k) s += k * $i % 7; return s ^ n; }"
done > many.c
compiler=$(gcc -print-prog-name=cc1)
[ -x "$compiler" ]
audited gcc "$compiler" -quiet -O2 many.c -o many.s
)sh",
                     2);
}

TEST_F(ExplainedTest, Sqlite) {
  SKIP_WITHOUT("sqlite3");
  ExpectAllExplained("audited sqlite sqlite3 :memory: \".read $1\"", 2,
                     Runfile("tests/real/joins.sql"));
}

TEST_F(ExplainedTest, Perl) {
  SKIP_WITHOUT("perl");
  ExpectAllExplained(
      "audited perl perl -e '$kept{$_} = \"text $_\" x 5 for 1 .. 200000; print scalar %kept'", 2);
}

// What a JVM has is told apart, by what it says of itself.
TEST_F(ExplainedTest, JavasHeap) {
  SKIP_WITHOUT("java");
  for (const char* gc : {"-XX:+UseSerialGC", "-XX:+UseZGC"}) {
    const Json audit = Run({"java", gc, "-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch",
                            "-XX:TieredStopAtLevel=1", "--version"})["peak"];
    double heap = 0;
    double others = 0;
    for (const Json& kind : audit["kinds"]) {
      const std::string name = kind["kind"];
      if (name == "JVM heap") heap += kind["bytes"].get<double>();
      if (name == "JVM metaspace" || name == "JVM code cache") {
        others += kind["bytes"].get<double>();
      }
    }
    // ZGC has it mapped up to three times.
    EXPECT_GE(heap, 64 << 20) << gc;
    EXPECT_LE(heap, 3.1 * (64 << 20)) << gc;
    EXPECT_GE(others, 1 << 20) << gc;
    EXPECT_LE(others, 40 << 20) << gc;
  }
}

TEST_F(ExplainedTest, Java) {
  SKIP_WITHOUT("java");
  ExpectAllExplained(R"sh(
for gc in G1 Z; do audited java-$gc java -Xmx256m -XX:+Use${gc}GC "$1"; done
)sh",
                     4, Runfile("tests/real/DirectBuffers.java"));
}

TEST_F(ExplainedTest, Node) {
  SKIP_WITHOUT("node");
  ExpectAllExplained(R"sh(
audited node node -e '
const kept = []; for (let i = 0; i < 300000; ++i) kept.push({i: i, text: "x" + i});
const buffer = Buffer.alloc(20 << 20, 1); console.log(kept.length + buffer.length)'
)sh",
                     2);
}

TEST_F(ExplainedTest, Redis) {
  SKIP_WITHOUT("redis-server");
  SKIP_WITHOUT("redis-benchmark");
  ExpectAllExplained(R"sh(
audited redis redis-server --port 0 --unixsocket socket --save '' --appendonly no &
cli() { redis-cli -s socket "$@" 2> /dev/null; }
until cli ping | grep -q PONG; do kill -0 $!; sleep 0.05; done
redis-benchmark -s socket -q -t set,lpush -n 50000 -r 50000 -d 200 > /dev/null
audit_now redis-at-rest "$(cli info server | sed -n 's/^process_id:\([0-9]*\).*/\1/p')"
cli shutdown nosave || true
wait $!
)sh",
                     3);
}

// Each of its processes while it works.
TEST_F(ExplainedTest, Postgres) {
  SKIP_WITHOUT("pgbench");
  SKIP_WITHOUT("setpriv");
  if (geteuid() != 0) GTEST_SKIP() << "not root, who can be the user that PostgreSQL wants";
  ExpectAllExplained(R"sh(
sockets=/proc/self/cwd/data  # the whole path may be too long for one
bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | tail -n 1)")
chmod 755 . "$(dirname "$TASKMEM")"
mkdir -m 777 stats
mkdir data
chown 65534:65534 data
as() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
as "$bin/initdb" -D data -A trust -U pg > /dev/null
as "$TASKMEM" run --quiet -- "$bin/postgres" -D data -k . -h '' > log 2>&1 &
server=$!
until "$bin/psql" -h "$sockets" -U pg -c 'select 1' postgres > /dev/null 2>&1; do
  kill -0 $server
  sleep 0.05
done
"$bin/pgbench" -h "$sockets" -U pg -i -s 5 postgres > /dev/null 2>&1
"$bin/pgbench" -h "$sockets" -U pg -c 2 -T 10 postgres > /dev/null 2>&1 &
bench=$!
postmaster=$(head -n 1 data/postmaster.pid)
audit_all() {
  for pid in $postmaster $(pgrep -P $postmaster); do
    audit_now "$1-$pid" $pid 2> /dev/null || rm -f "$1-$pid.json"  # a backend that has ended
  done
}
connected() { "$bin/psql" -h "$sockets" -U pg -Atc "select count(*) from pg_stat_activity
  where application_name = 'pgbench' and state is not null" postgres; }
until [ "$(connected)" -ge 2 ]; do jobs -pr | grep -qx $bench; sleep 0.05; done
audit_all busy
wait $bench
audit_all at-rest
kill -INT $postmaster
wait $server
)sh",
                     8);
}

}  // namespace
}  // namespace taskmem::test
