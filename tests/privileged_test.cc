// A privileged program (AT_SECURE) into which the whole machine's preload brings the library:
// nothing of its caller's is used. Needs root, to set up such a machine in a mount name space.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

namespace fs = std::filesystem;

constexpr int kNobody = 65534;

class PrivilegedTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    Command probe;
    probe.preload = Preload::kOff;
    probe.arguments = {"/bin/sh", "-c", "unshare -m mount --make-rprivate / && setpriv --version"};
    if (!RunCommand(probe).Succeeded()) GTEST_SKIP() << "needs mount name spaces and setpriv";
    chmod(folder_.path().c_str(), 0755);
    fs::copy_file(LibraryPath(), At("libtaskmem.so"));
    fs::copy_file(ProgramPath("privileged"), At("program"));
    fs::copy_file(ProgramPath("planted_library.so"), At("planted.so"));
    for (const char* name : {"libtaskmem.so", "program", "planted.so"}) {
      chmod(At(name).c_str(), 0755);
    }
    // What the machine's loader sees, and a place of the caller's.
    fs::create_directory(At("etc"));
    for (const char* name : {"ld.so.cache", "passwd", "group", "nsswitch.conf"}) {
      std::error_code missing;
      fs::copy_file(std::string("/etc/") + name, At("etc/") + name, missing);
    }
    folder_.Write("etc/ld.so.preload", At("libtaskmem.so") + "\n");
    fs::create_directory(At("callers"));
    ASSERT_EQ(chown(At("callers").c_str(), kNobody, kNobody), 0);
    folder_.Write("command", "#!/bin/sh\ntouch " + At("callers/command") + "\nexit 1\n");
    chmod(At("command").c_str(), 0755);
  }

  std::string At(const std::string& name) const { return folder_.path() + "/" + name; }

  // By an ordinary user with the options of `environment`.
  Result Run(Environment environment) {
    Command command;
    command.preload = Preload::kOff;
    command.arguments = {
        "/bin/sh", "-c",
        "exec unshare -m sh -c 'mount --make-rprivate / && mount --bind \"$0\" /etc "
        "&& exec setpriv --reuid=65534 --regid=65534 --clear-groups env \"$@\"' "
        "\"$0\" \"$@\"",
        At("etc")};
    // From env on: what root runs before obeys its caller, too.
    for (const auto& [name, value] : environment) {
      command.arguments.push_back(name + "=" + value);
    }
    command.arguments.push_back(At("program"));
    return RunCommand(command);
  }

  Environment Options() const {
    return {{"PLANTED_MARK", At("callers/plugin")},
            {"TASKMEM_PLUGIN", At("planted.so")},
            {"TASKMEM_LOG", At("callers/log")},
            {"TASKMEM_LOG_LEVEL", "debug"},
            {"TASKMEM_STATS_DIR", At("callers/stats")},
            {"TASKMEM_SPILL_DIR", At("callers/spill")},
            {"TASKMEM_OVERFLOW", "0"},
            {"TASKMEM_QUOTA", "32M"},
            {"TASKMEM_COMMAND", At("command")},
            {"TASKMEM_SESSION", "1-1-00000000"}};
  }

  std::vector<std::string> CallersFiles() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(At("callers"))) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const TemporaryFolder folder_{"/tmp"};
};

TEST_F(PrivilegedTest, AnOrdinaryProgramObeysItsCaller) {
  const Result result = Run(Options());
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(
      result.out.find("privileged 0\n64 MiB refused\naudit failed\nbooks " + At("callers/stats")),
      std::string::npos)
      << result.Describe();
  EXPECT_EQ(CallersFiles(),
            (std::vector<std::string>{"command", "log", "plugin", "spill", "stats"}));
}

TEST_F(PrivilegedTest, ASetUserIdProgramDoesNot) {
  chmod(At("program").c_str(), 04755);
  const Result result = Run(Options());
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_TRUE(
      result.out.starts_with("privileged 1\n64 MiB given\naudit failed\nbooks /dev/shm/taskmem-0"))
      << result.Describe();
  EXPECT_EQ(result.out.find("variable"), std::string::npos) << result.Describe();
  EXPECT_TRUE(CallersFiles().empty()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

// The caller owns what this one's effective user owns: it must not get hold of the books.
TEST_F(PrivilegedTest, ASetGroupIdProgramKeepsItsBooksFromItsCaller) {
  chmod(At("program").c_str(), 02755);
  const Result result = Run(Options());
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_TRUE(result.out.starts_with("privileged 1\n64 MiB given\naudit failed\n"))
      << result.Describe();
  EXPECT_EQ(result.out.find("books /dev/shm"), std::string::npos) << result.Describe();
  EXPECT_EQ(result.out.find("variable"), std::string::npos) << result.Describe();
  EXPECT_TRUE(CallersFiles().empty()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

TEST_F(PrivilegedTest, BadOptionsOfACallerDoNotStopIt) {
  chmod(At("program").c_str(), 04755);
  const Result result = Run({{"TASKMEM_QUOTA", "much"}, {"TASKMEM_TASK_BY", "thread-name=("}});
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

}  // namespace
}  // namespace taskmem::test
