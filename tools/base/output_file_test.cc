#include "tools/base/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace taskmem {
namespace {

class OutputFileTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(dir_); }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string Read(const std::string& name) {
    std::ifstream file(dir_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const std::string dir_ = testing::TempDir() + "/output-" + std::to_string(getpid());
};

TEST_F(OutputFileTest, ReplacesAFileAndLeavesNoOther) {
  EXPECT_EQ(WriteOutputFile(dir_ + "/f", "one"), 0);
  EXPECT_EQ(WriteOutputFile(dir_ + "/f", "two"), 0);
  EXPECT_EQ(Read("f"), "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_), {}), 1);
}

TEST_F(OutputFileTest, FollowsALink) {
  std::ofstream(dir_ + "/f") << "old";
  std::filesystem::create_symlink("f", dir_ + "/link");
  EXPECT_EQ(WriteOutputFile(dir_ + "/link", "new"), 0);
  EXPECT_EQ(Read("f"), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(dir_ + "/link"));
}

TEST_F(OutputFileTest, WritesIntoADevice) {
  EXPECT_EQ(CheckOutputFile("/dev/null"), 0);
  EXPECT_EQ(WriteOutputFile("/dev/null", "text"), 0);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

TEST_F(OutputFileTest, ChecksBeforehand) {
  EXPECT_EQ(CheckOutputFile(dir_ + "/f"), 0);
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/f"));
  EXPECT_EQ(CheckOutputFile(dir_), EISDIR);
  EXPECT_EQ(CheckOutputFile(dir_ + "/absent/f"), ENOENT);
  std::ofstream(dir_ + "/file") << "";
  EXPECT_EQ(CheckOutputFile(dir_ + "/file/f"), ENOTDIR);
  EXPECT_EQ(WriteOutputFile(dir_ + "/absent/f", "text"), ENOENT);
}

TEST_F(OutputFileTest, ChecksWhatIsAppendedTo) {
  EXPECT_EQ(CheckAppendedFile(dir_ + "/f"), 0);
  EXPECT_FALSE(std::filesystem::exists(dir_ + "/f"));
  std::ofstream(dir_ + "/f") << "old";
  EXPECT_EQ(CheckAppendedFile(dir_ + "/f"), 0);
  EXPECT_EQ(Read("f"), "old");
  EXPECT_EQ(CheckAppendedFile(dir_), EISDIR);
  EXPECT_EQ(CheckAppendedFile(dir_ + "/absent/f"), ENOENT);
  EXPECT_EQ(CheckAppendedFile("/proc/absent"), ENOENT);
  EXPECT_EQ(CheckAppendedFile("/dev/null"), 0);
}

TEST_F(OutputFileTest, APipeIsAppendedToWhereSomebodyReadsIt) {
  const std::string pipe = dir_ + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(CheckAppendedFile(pipe), ENXIO);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  EXPECT_EQ(CheckAppendedFile(pipe), 0);
  char byte;
  EXPECT_EQ(read(reader, &byte, 1), -1);  // not its end
  EXPECT_EQ(errno, EAGAIN);
  close(reader);
}

}  // namespace
}  // namespace taskmem
