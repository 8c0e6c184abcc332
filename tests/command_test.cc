// `taskmem run` gives the program's status, whatever happens on its own side; `ps`, `stats` and
// `audit` say in a line what they cannot do.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "tests/support/audit_run.h"

namespace taskmem::test {
namespace {

class CommandTest : public AuditFolder {
 protected:
  // A script of bash in which $T is the command.
  Result Shell(const std::string& script, Environment environment = {}) {
    Command command;
    command.preload = Preload::kOff;
    command.arguments = {"bash", "-c", script};
    command.environment = std::move(environment);
    command.environment["T"] = folder_.path() + "/taskmem";
    command.environment["D"] = folder_.path();
    command.environment["TASKMEM_STATS_DIR"] = folder_.path() + "/stats";
    return RunCommand(command);
  }

  // The script's status, with at most `lines` on standard error.
  void ExpectStatus(int status, const std::string& script, long lines = 0) {
    // Not its last command: a shell becomes that one, and ends by its signal.
    const Result result = Shell(script + "\nexit $?");
    EXPECT_EQ(result.exit_status, status) << script << '\n' << result.Describe();
    EXPECT_LE(std::count(result.err.begin(), result.err.end(), '\n'), lines) << result.Describe();
  }
};

TEST_F(CommandTest, StandardErrorMayBeClosedFullOrUnread) {
  for (const char* options : {"", "--stats $D/stats.json", "--audit -", "--audit $D/audit.json"}) {
    for (const char* where : {"2>&-", "2>/dev/full", "2> >(exec true)", "0<&- 1>&- 2>&-"}) {
      ExpectStatus(7, std::string("$T run ") + options + " -- sh -c 'exit 7' " + where);
      // One that the command has something to say about before it starts.
      const Result result = Shell(std::string("$T run ") + options + " -- " +
                                  ProgramPath("static_program") + " " + where);
      EXPECT_EQ(result.signal, 0) << where;
      EXPECT_LT(result.exit_status, 126) << where << result.Describe();
    }
  }
}

TEST_F(CommandTest, NoFileIsTakenForAStandardStream) {
  const Result result = Shell(
      "$T run --stats $D/stats.json --audit $D/audit.json -- sh -c 'exit 7' 0<&- 1>&- 2>&-; s=$?;"
      "cat $D/stats.json >&2; exit $s");
  EXPECT_EQ(result.exit_status, 7) << result.Describe();
  EXPECT_TRUE(Json::accept(result.err)) << result.err;
}

TEST_F(CommandTest, TheProgramFindsClosedStreamsClosed) {
  ExpectStatus(0,
               "$T run --quiet -- sh -c '! test -e /proc/self/fd/0 && ! test -e /proc/self/fd/2' "
               "0<&- 2>&-");
}

TEST_F(CommandTest, ThePipeSignalIsTheProgramsAsItWas) {
  ExpectStatus(141, "$T run --quiet -- bash -c 'yes | true; exit ${PIPESTATUS[0]}'");
  ExpectStatus(141, "$T run --quiet -- sh -c 'kill -s PIPE $$'");
  ExpectStatus(0, "trap '' PIPE; $T run --quiet -- bash -c 'kill -s PIPE $$; exit 0'");
}

TEST_F(CommandTest, ResourcesMayBeShort) {
  for (const char* limit : {"-n 4", "-n 5", "-n 8", "-n 16", "-f 0", "-v 100000", "-u 1"}) {
    for (const char* options : {"--quiet", "--quiet --audit $D/audit.json", "--audit -"}) {
      const Result result = Shell(std::string("ulimit ") + limit + "; $T run " + options +
                                  " -- sh -c 'exit 7'; exit $?");
      EXPECT_EQ(result.exit_status, 7) << limit << ' ' << options << '\n' << result.Describe();
    }
  }
  // Too little for a thread.
  ExpectStatus(0, "ulimit -v 13000; $T run --quiet --audit - -- " + ProgramPath("static_program") +
               " > $D/out", 3);
}

TEST_F(CommandTest, WhatWasAskedForMayBecomeImpossible) {
  ExpectStatus(7, "mkdir $D/d; $T run --quiet --stats $D/d/s --audit $D/d/a -- "
               "sh -c 'rmdir $D/d; exit 7'", 2);
  ExpectStatus(7, "$T run --quiet -- sh -c 'rm -r $D/stats; exit 7'", 1);
  ExpectStatus(7, "ulimit -f 0; $T run --quiet --stats $D/s -- sh -c 'exit 7'", 3);
  ExpectStatus(7, "$T run --quiet -- sh -c 'mkfifo $D/stats/1-1; exit 7'");
}

TEST_F(CommandTest, SignalsAndStopsAreTheProgramsOwn) {
  ExpectStatus(143, "$T run --quiet -- sh -c 'kill -s TERM $$'", 1);  // the shell's
  ExpectStatus(137, "$T run --quiet -- sh -c 'kill -s KILL $$'", 1);
  ExpectStatus(7, "$T run --quiet -- bash -c 'exec 0<&- 1>&- 2>&- 3>&-; exit 7'");
}

TEST_F(CommandTest, WhatCannotBePrintedIsAFailure) {
  ExpectStatus(1, "$T ps > /dev/full", 1);
  ExpectStatus(1, "$T run --quiet -- sh -c '$T stats $$ > /dev/full'", 1);
  ExpectStatus(1, "$T run --quiet -- sh -c '$T audit $$ > /dev/full'", 1);
  for (const char* what : {"stats", "audit"}) {
    ExpectStatus(1, std::string("$T ") + what + " 4194303", 1);
    ExpectStatus(1, std::string("$T ") + what + " 1", 1);
  }
}

TEST_F(CommandTest, ControlCharactersOfNamesAreNotPrinted) {
  const Result result = Shell(
      "$T run -- python3 -c 'import ctypes; "
      "ctypes.CDLL(None).prctl(15, b\"a\\xc2\\x9bb\\x9bc\\x1bd\\xc3\\xa9\")'");
  EXPECT_EQ(result.exit_status, 0) << result.Describe();
  EXPECT_EQ(result.err.find('\x1b'), std::string::npos) << result.err;
  EXPECT_EQ(result.err.find('\x9b'), std::string::npos) << result.err;
}

// Processes end while others list them and read their files.
TEST_F(CommandTest, ProcessesMayEndWhileTheyAreRead) {
  const Result result = Shell(
      "for j in 1 2 3; do (for i in $(seq 25); do $T run --quiet -- sleep 0.0$j || exit 1; done) &"
      " pids=\"$pids $!\"; done;"
      "for i in $(seq 60); do $T ps > /dev/null || exit 2; done;"
      "for p in $pids; do wait $p || exit 3; done");
  EXPECT_EQ(result.exit_status, 0) << result.Describe();
  EXPECT_EQ(result.err, "");
}

// Files of the stats folder are cut, filled with rubbish and removed while they are read.
TEST_F(CommandTest, StatsFilesMayBeCutWhileTheyAreRead) {
  const Result result = Shell(
      "$T run --quiet -- sleep 100 & until ls $D/stats/*-* >/dev/null 2>&1; do sleep 0.01; done;"
      "f=$(ls $D/stats/*-*); cp --sparse=always $f $D/saved;"
      "(while :; do for s in 0 4096 100000 5000000; do cp --sparse=always $D/saved $D/stats/7-7;"
      " truncate -s $s $D/stats/7-7; done; done) & cutter=$!;"
      "for i in $(seq 25); do $T ps >/dev/null || exit 1; $T run --quiet -- sh -c 'exit 7';"
      " test $? = 7 || exit 2; done; kill $cutter %1; wait; exit 0");
  EXPECT_EQ(result.exit_status, 0) << result.Describe();
}

}  // namespace
}  // namespace taskmem::test
