// Overflow: programs that need several times their quota go on, right and small.
#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

using ::testing::Values;

// The folder of the tests may be in memory.
class FolderOnDisk {
 public:
  FolderOnDisk() {
    path_ = std::filesystem::path("/var/tmp") / ("overflow_test_" + std::to_string(getpid()));
    std::filesystem::create_directory(path_);
  }
  ~FolderOnDisk() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  FolderOnDisk(const FolderOnDisk&) = delete;
  FolderOnDisk& operator=(const FolderOnDisk&) = delete;

  std::string path() const { return path_; }
  bool IsEmpty() const { return std::filesystem::is_empty(path_); }

 private:
  std::filesystem::path path_;
};

// No tasks but those the program begins.
Environment Overflow(const std::string& directory, Environment more = {}) {
  more.try_emplace("TASKMEM_SPILL_DIR", directory);
  more.try_emplace("TASKMEM_OVERFLOW", "1");
  more.try_emplace("TASKMEM_TASK_BY", "thread-name=^no such thread$");
  return more;
}

class OverflowingProgram : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(OverflowingProgram, IsRightAndStaysSmall) {
  // See tests/programs/support/overflow.h.
  constexpr int kTooResident = 9;
  constexpr int kTries = 5;
  const FolderOnDisk folder;
  Result result;
  for (int i = 0; i < kTries; ++i) {
    result = RunProgram(GetParam(), Overflow(folder.path()));
    EXPECT_TRUE(folder.IsEmpty()) << "something is left on disk";
    if (result.exit_status != kTooResident) break;
  }
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

std::string JoinedName(const ::testing::TestParamInfo<std::vector<std::string>>& info) {
  std::string name;
  for (const std::string& argument : info.param) name += (name.empty() ? "" : "_") + argument;
  return name;
}

INSTANTIATE_TEST_SUITE_P(, OverflowingProgram,
                         Values(std::vector<std::string>{"alignment_matrix", "overflow"},
                                std::vector<std::string>{"overflow_large", "1"},
                                std::vector<std::string>{"overflow_large", "4711"},
                                std::vector<std::string>{"overflow_small"},
                                std::vector<std::string>{"realloc_large", "overflow", "1"},
                                std::vector<std::string>{"realloc_large", "overflow", "2"},
                                std::vector<std::string>{"overflow_grows"},
                                std::vector<std::string>{"overflow_threads"},
                                std::vector<std::string>{"overflow_fork", "alone"},
                                std::vector<std::string>{"overflow_fork", "threads"},
                                std::vector<std::string>{"overflow_fork", "closed"},
                                std::vector<std::string>{"overflow_fork_full", "full"},
                                std::vector<std::string>{"overflow_fork_full", "held"},
                                std::vector<std::string>{"overflow_fork_full", "refused"},
                                std::vector<std::string>{"overflow_ends", "closed"}),
                         JoinedName);

TEST(Overflow, IsWhatIsTriedWhereverThereIsASpillDirectory) {
  const FolderOnDisk folder;
  ExpectSuccess({"overflow_ends", "closed"}, Overflow(folder.path(), {{"TASKMEM_OVERFLOW", ""}}));
  ExpectSuccess({"overflow_threads"}, Overflow(folder.path(), {{"TASKMEM_OVERFLOW", ""}}));
}

TEST(Overflow, CanBeForbidden) {
  const FolderOnDisk folder;
  ExpectSuccess({"overflow_ends", "off"}, Overflow(folder.path(), {{"TASKMEM_OVERFLOW", "0"}}));
}

TEST(Overflow, IsOffInMemory) {
  const std::string directory = "/dev/shm/overflow_test_" + std::to_string(getpid());
  const Result result = RunProgram({"overflow_ends", "off"}, Overflow(directory));
  std::filesystem::remove_all(directory);
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.err.find("is kept in memory (tmpfs); give a --spill-dir on a disk"),
            std::string::npos)
      << result.err;
}

TEST(Overflow, IsOffWhereNothingCanBeWritten) {
  const Result result = RunProgram({"overflow_ends", "off"}, Overflow("/proc/no/such"));
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.err.find("cannot use /proc/no/such for --spill-dir: "), std::string::npos)
      << result.err;
}

TEST(Overflow, EndsWithItsSize) {
  const FolderOnDisk folder;
  const Result result = RunProgram({"overflow_ends", "size"},
                                   Overflow(folder.path(), {{"TASKMEM_OVERFLOW_SIZE", "128M"}}));
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.err.find("overflow: --overflow-size leaves too little; "), std::string::npos)
      << result.err;
}

TEST(Overflow, MayHaveAnySizeFromFourMegabytes) {
  for (const char* size : {"4", "5", "21", "40", "63"}) {
    const FolderOnDisk folder;
    const Result result =
        RunProgram({"overflow_ends", "part", size},
                   Overflow(folder.path(), {{"TASKMEM_OVERFLOW_SIZE", std::string(size) + "M"}}));
    EXPECT_TRUE(result.Succeeded()) << size << result.Describe();
    EXPECT_EQ(result.err.find(" 0 B of "), std::string::npos) << result.err;
  }
}

TEST(Overflow, EndsWithTheLimitOnFileSizes) {
  const FolderOnDisk folder;
  const Result result = RunProgram({"overflow_ends", "file"}, Overflow(folder.path()));
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.err.find("overflow: the limit on file sizes is reached (ulimit -f)"),
            std::string::npos)
      << result.err;
}

TEST(Overflow, LeavesNothingBehindWhenKilled) {
  const FolderOnDisk folder;
  Command command;
  command.arguments = {ProgramPath("overflow_ends"), "kill"};
  const TemporaryFolder stats;
  command.environment = Overflow(
      folder.path(), {{"TASKMEM_AT_THRASHING", "kill"}, {"TASKMEM_STATS_DIR", stats.path()}});
  const Result killed = RunCommand(command);
  EXPECT_EQ(killed.signal, SIGKILL) << killed.Describe();
  EXPECT_EQ(killed.ended_by, "");
  EXPECT_NE(killed.err.find("is thrashing: "), std::string::npos) << killed.err;
  EXPECT_NE(killed.err.find("; ending the process"), std::string::npos) << killed.err;
  EXPECT_TRUE(folder.IsEmpty());
}

TEST(Overflow, ThatThrashesMayBeRefused) {
  const FolderOnDisk folder;
  const Result result = RunProgram({"overflow_ends", "refuse"},
                                   Overflow(folder.path(), {{"TASKMEM_AT_THRASHING", "refuse"}}));
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_NE(result.err.find("; nothing more of it goes there"), std::string::npos) << result.err;
}

// The same with and without a quota of a quarter of what it needs.
void ExpectSameOutput(const std::vector<std::string>& arguments, const std::string& quota,
                      Environment environment) {
  const FolderOnDisk folder;
  const TemporaryFolder stats;
  Command command;
  command.arguments = arguments;
  command.arguments[0] = FindInPath(arguments[0]);
  if (command.arguments[0].empty()) GTEST_SKIP() << arguments[0] << " is not here";
  command.environment = environment;
  command.preload = Preload::kOff;
  command.timeout_seconds = 600;
  const Result plain = RunCommand(command);
  ASSERT_TRUE(plain.Succeeded()) << plain.Describe();
  command.preload = Preload::kOn;
  command.environment = environment;
  command.environment["TASKMEM_SPILL_DIR"] = folder.path();
  command.environment["TASKMEM_OVERFLOW"] = "1";
  command.environment["TASKMEM_QUOTA"] = quota;
  command.environment["TASKMEM_STATS_DIR"] = stats.path();
  const Result small = RunCommand(command);
  EXPECT_TRUE(small.Succeeded()) << small.Describe();
  EXPECT_EQ(small.out, plain.out);
  EXPECT_EQ(small.err, plain.err);
}

// CPython's own allocator takes its memory by mmap, which has no overflow.
const Environment kPython = {{"PYTHONMALLOC", "malloc"}, {"PYTHONHASHSEED", "1"}};

TEST(OverflowOfPython, ADictionaryOfAMillionObjects) {
  ExpectSameOutput({"python3", "-c", R"(
import hashlib
d = {'key%d' % i: (i, 'value%d' % (i * 7919)) for i in range(1000000)}
h = hashlib.sha256()
for i in range(0, 1000000, 3): h.update(repr(d['key%d' % i]).encode())
for key, value in d.items(): h.update(key.encode())
print(len(d), h.hexdigest())
)"},
                   "80M", kPython);
}

TEST(OverflowOfPython, ArraysAndChildren) {
  ExpectSameOutput({"python3", "-c", R"(
import hashlib, os, subprocess
blocks = [bytearray(16 << 20) for _ in range(12)]
for n, block in enumerate(blocks):
    block[::4096] = bytes([n + 1]) * (len(block) // 4096)
pid = os.fork()
if pid == 0:
    for block in blocks: block[0] = 99
    os._exit(sum(block[0] for block in blocks) % 251)
for block in blocks: block[1] = 55
print(os.waitpid(pid, 0)[1], subprocess.run(['echo', 'child'], capture_output=True).stdout)
print(hashlib.sha256(b''.join(blocks[:2])).hexdigest(), [block[0] for block in blocks])
)"},
                   "48M", kPython);
}

TEST(OverflowOfSort, ALargeBuffer) {
  const TemporaryFolder folder;
  std::string text;
  uint64_t random = 4711;
  for (int i = 0; i < 1'000'000; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    text += std::to_string(random) + "\n";
  }
  const std::string input = folder.Write("input", text);
  ExpectSameOutput({"sort", "--buffer-size=200M", "--parallel=2", input}, "32M", {{"LC_ALL", "C"}});
}

}  // namespace
}  // namespace taskmem::test
