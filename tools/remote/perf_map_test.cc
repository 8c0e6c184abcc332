#include "tools/remote/perf_map.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

namespace taskmem {
namespace {

using Names = std::map<uint64_t, std::string>;

TEST(PerfMap, NamesReturnAddresses) {
  const std::string text =
      "1000 20 Ljava/lang/Foo;::bar\n"
      "0x2000 0x10 LazyCompile:~go app.js:1\n"
      "\nnonsense\n3000 zz x\n4000\nffffffffffffff00 ff end of the world\n"
      "1000 8 again\n";
  EXPECT_EQ(ParsePerfMap(text, {0x1000, 0x1004, 0x1020, 0x1021, 0x2001, 0x2011}),
            (Names{{0x1004, "again"},
                   {0x1020, "Ljava/lang/Foo;::bar"},
                   {0x2001, "LazyCompile:~go app.js:1"}}));
  EXPECT_EQ(ParsePerfMap("", {1}), Names());
  EXPECT_EQ(ParsePerfMap(text, {}), Names());
}

class PerfMapFile : public ::testing::Test {
 protected:
  ~PerfMapFile() override { remove(path_.c_str()); }
  const std::string path_ = "/tmp/perf-" + std::to_string(getpid()) + ".map";
};

TEST_F(PerfMapFile, CountsWhereItIsTheProcessesOwn) {
  std::ofstream(path_) << "1000 20 foo\n";
  EXPECT_EQ(NamesOfGeneratedCode(getpid(), {0x1001}), (Names{{0x1001, "foo"}}));
  // It is older than the process: of another one that had its number.
  const timespec times[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, path_.c_str(), times, 0), 0);
  EXPECT_EQ(NamesOfGeneratedCode(getpid(), {0x1001}), Names());
  if (geteuid() != 0) GTEST_SKIP() << "not root";
  std::ofstream(path_) << "1000 20 foo\n";
  ASSERT_EQ(chown(path_.c_str(), 65534, 65534), 0);
  EXPECT_EQ(NamesOfGeneratedCode(getpid(), {0x1001}), Names());
}

TEST_F(PerfMapFile, IsNoLink) {
  const std::string other = path_ + ".other";
  std::ofstream(other) << "1000 20 foo\n";
  ASSERT_EQ(symlink(other.c_str(), path_.c_str()), 0);
  EXPECT_EQ(NamesOfGeneratedCode(getpid(), {0x1001}), Names());
  remove(other.c_str());
}

}  // namespace
}  // namespace taskmem
