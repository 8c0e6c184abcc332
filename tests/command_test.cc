// `taskmem run` gives the program's status, whatever happens on its own side; `ps`, `stats` and
// `audit` say in a line what they cannot do.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <tuple>

#include "accounting/audit/stats_layout.h"
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

  // For a string in double quotes.
  static std::string Escaped(std::string text) {
    for (size_t at = 0; (at = text.find('$', at)) != std::string::npos; at += 2) {
      text.insert(at, "\\");
    }
    return text;
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
  ExpectStatus(
      0,
      "ulimit -v 13000; $T run --quiet --audit - -- " + ProgramPath("static_program") + " > $D/out",
      3);
}

TEST_F(CommandTest, WhatWasAskedForMayBecomeImpossible) {
  ExpectStatus(7,
               "mkdir $D/d; $T run --quiet --stats $D/d/s --audit $D/d/a -- "
               "sh -c 'rmdir $D/d; exit 7'",
               2);
  ExpectStatus(7, "$T run --quiet -- sh -c 'rm -r $D/stats; exit 7'", 1);
  ExpectStatus(7, "ulimit -f 0; $T run --quiet --stats $D/s -- sh -c 'exit 7'", 3);
  ExpectStatus(7, "$T run --quiet -- sh -c 'mkfifo $D/stats/1-1; exit 7'");
}

TEST_F(CommandTest, SignalsAndStopsAreTheProgramsOwn) {
  ExpectStatus(143, "$T run --quiet -- sh -c 'kill -s TERM $$'", 1);  // the shell's
  ExpectStatus(137, "$T run --quiet -- sh -c 'kill -s KILL $$'", 1);
  // Stopped, and continued or killed by somebody who knows nothing of the command.
  const std::string await = "(until grep -q 'T (stopped)' /proc/$$/status; do :; done; ";
  for (const auto& [signal, status, lines] :
       {std::tuple("CONT", 7, 0), std::tuple("KILL", 137, 1)}) {
    const std::string script = await + "kill -s " + signal + " $$) & kill -s STOP $$; exit 7";
    ExpectStatus(status, "$T run --quiet -- sh -c \"" + Escaped(script) + "\"", lines);
  }
  ExpectStatus(7, "$T run --quiet -- bash -c 'exec 0<&- 1>&- 2>&- 3>&-; exit 7'");
}

TEST_F(CommandTest, WhatCannotBePrintedIsAFailure) {
  for (const std::string where : {"> /dev/full", ">&-", ">&- <&-"}) {
    for (const std::string what : {"ps", "--help", "--version"}) {
      ExpectStatus(1, "$T " + what + " " + where, 1);
    }
    for (const std::string what : {"stats $$", "stats $$ --json", "audit $$", "audit $$ --json"}) {
      ExpectStatus(1, "$T run --quiet -- sh -c '$T " + what + " " + where + "'", 1);
    }
  }
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

// What a live process publishes is damaged at random: its stats file, which its tables hang on.
class DamageTest : public CommandTest {
 protected:
  // The stats file of the process, mapped: what is written there the process sees, too.
  char* MapStatsFile(const std::string& path) {
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return nullptr;
    void* start = mmap(nullptr, kStatsBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return start != MAP_FAILED ? static_cast<char*>(start) : nullptr;
  }

  // The command ends by itself, within seconds and with bounded memory.
  void ExpectCalm(std::vector<std::string> arguments, const std::string& what) {
    Command command;
    command.preload = Preload::kOff;
    command.arguments = std::move(arguments);
    command.arguments.insert(command.arguments.begin(), folder_.path() + "/taskmem");
    command.environment["TASKMEM_STATS_DIR"] = folder_.path() + "/stats";
    command.timeout_seconds = 60;
    command.resident_limit_bytes = uint64_t{512} << 20;
    const Result result = RunCommand(command);
    EXPECT_GE(result.exit_status, 0) << what << '\n' << result.Describe();
    EXPECT_LE(result.exit_status, 2) << what << '\n' << result.Describe();
  }
};

// A process that sleeps, whose books are damaged and mended again.
class Sleeper {
 public:
  explicit Sleeper(const std::string& folder) {
    pid_ = fork();
    if (pid_ == 0) {
      setenv("LD_PRELOAD", LibraryPath().c_str(), 1);
      setenv("TASKMEM_STATS_DIR", folder.c_str(), 1);
      const std::string program = ProgramPath("audited");
      execl(program.c_str(), program.c_str(), "waits", nullptr);
      _exit(127);
    }
    const std::string prefix = std::to_string(pid_) + "-";
    namespace fs = std::filesystem;
    for (int i = 0; i < 3000 && path_.empty(); ++i) {
      std::error_code error;
      for (fs::directory_iterator at(folder, error), end; !error && at != end; ++at) {
        if (at->path().filename().string().starts_with(prefix)) path_ = at->path();
      }
      usleep(10'000);
    }
  }
  ~Sleeper() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& path() const { return path_; }

 private:
  pid_t pid_ = 0;
  std::string path_;
};

TEST_F(DamageTest, NoDamageMakesACommandFail) {
  const Sleeper process(folder_.path() + "/stats");
  ASSERT_FALSE(process.path().empty());
  char* const start = MapStatsFile(process.path());
  ASSERT_NE(start, nullptr);
  auto* const header = reinterpret_cast<StatsHeader*>(start);
  while (__atomic_load_n(&header->audit.version, __ATOMIC_ACQUIRE) != kAuditVersion) usleep(1000);
  const std::vector<char> saved(start, start + kThreadsOffset);
  const std::string pid = std::to_string(process.pid());
  const char* const chosen = getenv("TASKMEM_TEST_SEED");
  const unsigned seed =
      chosen != nullptr ? static_cast<unsigned>(atol(chosen)) : std::random_device()();
  const char* const rounds = getenv("TASKMEM_TEST_ROUNDS");
  printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  const uint64_t some[] = {0,
                           1,
                           7,
                           4096,
                           UINT64_MAX,
                           uint64_t{1} << 62,
                           uint64_t{1} << 32,
                           header->audit.page_map_root,
                           header->audit.contexts};
  for (int round = 0; round < (rounds != nullptr ? atoi(rounds) : 15); ++round) {
    std::string what = "round " + std::to_string(round);
    for (uint64_t i = random() % 4 + 1; i > 0; --i) {
      const size_t word = random() % (sizeof(AuditLayout) / 8 - 1) + 1;
      const uint64_t candidates[] = {some[random() % std::size(some)],
                                     some[random() % std::size(some)], random(),
                                     header->audit.page_map_root + random() % 65536};
      const uint64_t value = candidates[random() % std::size(candidates)];
      memcpy(reinterpret_cast<char*>(&header->audit) + word * 8, &value, 8);
      what += ", word " + std::to_string(word) + " = " + std::to_string(value);
    }
    if (round % 3 == 0) {
      const uint64_t value = random();
      memcpy(start + offsetof(StatsHeader, task_slots) + random() % 64, &value, 8);
    }
    ExpectCalm({"audit", pid}, what);
    if (round % 3 == 0) {
      ExpectCalm({"ps"}, what);
      ExpectCalm({"stats", pid, "--json"}, what);
      ExpectCalm({"run", "--quiet", "--", "true"}, what);
    }
    memcpy(start, saved.data(), saved.size());
  }
  munmap(start, kStatsBytes);
}

// The tables themselves, in the memory of the process: what the layout points to.
TEST_F(DamageTest, NoDamagedTableMakesACommandFail) {
  const Sleeper process(folder_.path() + "/stats");
  ASSERT_FALSE(process.path().empty());
  char* const start = MapStatsFile(process.path());
  ASSERT_NE(start, nullptr);
  auto* const header = reinterpret_cast<StatsHeader*>(start);
  while (__atomic_load_n(&header->audit.version, __ATOMIC_ACQUIRE) != kAuditVersion) usleep(1000);
  const AuditLayout layout = header->audit;
  const std::string pid = std::to_string(process.pid());
  const int memory = open(("/proc/" + pid + "/mem").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(memory, 0);
  // It must not notice: it stands still from here on.
  kill(process.pid(), SIGSTOP);
  const unsigned seed = std::random_device()();
  printf("seed %u\n", seed);
  std::mt19937_64 random(seed);
  const uint64_t places[] = {layout.contexts,        layout.context_count, layout.own_ranges,
                             layout.own_range_count, layout.mappings.map,  layout.libraries,
                             layout.library_count,   layout.sites,         layout.cache};
  for (int round = 0; round < 15; ++round) {
    for (int i = 0; i < 6; ++i) {
      const uint64_t place = places[random() % std::size(places)] + random() % 128 / 8 * 8;
      const uint64_t values[] = {UINT64_MAX, random(), 0xffff, layout.contexts, layout.sites};
      const uint64_t value = values[random() % std::size(values)];
      [[maybe_unused]] const ssize_t written =
          pwrite(memory, &value, sizeof(value), static_cast<off_t>(place));
    }
    ExpectCalm({"audit", pid}, "round " + std::to_string(round));
    ExpectCalm({"audit", pid, "--json", "--sites", "1000000"}, "round " + std::to_string(round));
  }
  close(memory);
  munmap(start, kStatsBytes);
}

}  // namespace
}  // namespace taskmem::test
