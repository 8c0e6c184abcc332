#include "tools/base/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace taskmem {
namespace {

ChildResult RunShell(const std::string& script) {
  return RunChild("/bin/sh", {"sh", "-c", script});
}

TEST(RunChild, PassesTheExitStatusOn) {
  const ChildResult result = RunShell("exit 7");
  EXPECT_EQ(result.exec_errno, 0);
  EXPECT_GT(result.start_time, 0u);
  EXPECT_GT(result.peak_resident_bytes, 0u);
  ASSERT_TRUE(WIFEXITED(result.wait_status));
  EXPECT_EQ(WEXITSTATUS(result.wait_status), 7);
}

TEST(RunChild, SaysWhatExecSaid) {
  EXPECT_EQ(RunChild("/no/such/program", {"x"}).exec_errno, ENOENT);
  EXPECT_EQ(RunChild("/etc/passwd", {"x"}).exec_errno, EACCES);
}

// A sibling of the child stands for any other process that signals this one.
TEST(RunChild, ForwardsSignals) {
  const std::string me = std::to_string(getpid());
  for (const char* signal : {"TERM", "INT", "USR1"}) {
    const ChildResult result = RunShell(std::string("trap 'exit 9' ") + signal + "; (kill -s " +
                                        signal + " " + me + "); while :; do sleep 0.01; done");
    ASSERT_TRUE(WIFEXITED(result.wait_status)) << signal;
    EXPECT_EQ(WEXITSTATUS(result.wait_status), 9) << signal;
  }
}

TEST(RunChild, TheChildHasTheSignalMaskItWouldHave) {
  sigset_t usr2, old;
  sigemptyset(&usr2);
  sigaddset(&usr2, SIGUSR2);
  sigprocmask(SIG_BLOCK, &usr2, &old);
  const ChildResult result = RunShell("kill -s USR2 $$; kill -s TERM $$; exit 0");
  sigprocmask(SIG_SETMASK, &old, nullptr);
  ASSERT_TRUE(WIFSIGNALED(result.wait_status));
  EXPECT_EQ(WTERMSIG(result.wait_status), SIGTERM);
}

TEST(EndLike, EndsByStatusOrSignal) {
  EXPECT_EXIT(EndLike(RunShell("exit 3").wait_status), testing::ExitedWithCode(3), "");
  EXPECT_EXIT(EndLike(RunShell("kill -s TERM $$").wait_status), testing::KilledBySignal(SIGTERM),
              "");
  EXPECT_EXIT(EndLike(RunShell("kill -s KILL $$").wait_status), testing::KilledBySignal(SIGKILL),
              "");
}

}  // namespace
}  // namespace taskmem
