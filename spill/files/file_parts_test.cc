#include "spill/files/file_parts.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace taskmem {
namespace {

// A file without a name, in the test's folder.
class TemporaryFile {
 public:
  TemporaryFile() {
    const char* const folder = getenv("TEST_TMPDIR");
    std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/partsXXXXXX";
    fd_ = mkstemp(path.data());
    unlink(path.c_str());
  }
  ~TemporaryFile() { close(fd_); }
  int fd() const { return fd_; }

 private:
  int fd_;
};

std::string Read(int fd, size_t bytes, uint64_t offset) {
  std::string text(bytes, '?');
  return ReadAt(fd, text.data(), bytes, offset) ? text : "no";
}

TEST(FileParts, AreReadAndWrittenAtTheirOffset) {
  const TemporaryFile file;
  ASSERT_TRUE(WriteAt(file.fd(), "abcdef", 6, 10));
  EXPECT_EQ(Read(file.fd(), 3, 12), "cde");
  EXPECT_EQ(lseek(file.fd(), 0, SEEK_CUR), 0);
}

TEST(FileParts, TheEndOfTheFileIsAFailure) {
  const TemporaryFile file;
  ASSERT_TRUE(WriteAt(file.fd(), "abc", 3, 0));
  EXPECT_EQ(Read(file.fd(), 4, 0), "no");
}

TEST(FileParts, ZeroesReachJustToTheirEnd) {
  const TemporaryFile file;
  constexpr size_t kBytes = (size_t{1} << 20) + 4096;  // more than is written at once
  const std::string ones(kBytes + 8192, '1');
  ASSERT_TRUE(WriteAt(file.fd(), ones.data(), ones.size(), 0));
  ASSERT_TRUE(WriteZeroes(file.fd(), 4096, kBytes));
  EXPECT_EQ(Read(file.fd(), 4096, 0), std::string(4096, '1'));
  EXPECT_EQ(Read(file.fd(), kBytes, 4096), std::string(kBytes, '\0'));
  EXPECT_EQ(Read(file.fd(), 4096, 4096 + kBytes), std::string(4096, '1'));
}

TEST(FileParts, ArriveAtTheSameOffset) {
  const TemporaryFile from;
  const TemporaryFile to;
  const std::string text(3 << 20, 'x');
  ASSERT_TRUE(WriteAt(from.fd(), text.data(), text.size(), 8192));
  ASSERT_TRUE(CopyData(from.fd(), to.fd(), 8192, text.size()));
  EXPECT_EQ(Read(to.fd(), text.size(), 8192), text);
  EXPECT_EQ(Read(to.fd(), 8192, 0), std::string(8192, '\0'));
}

TEST(FileParts, WhatWasNeverWrittenIsLeftOut) {
  const TemporaryFile file;
  constexpr uint64_t kMiB = 1 << 20;
  const std::string text(kMiB, 'x');
  ASSERT_EQ(ftruncate(file.fd(), 64 * kMiB), 0);
  ASSERT_TRUE(WriteAt(file.fd(), text.data(), text.size(), 8 * kMiB));
  uint64_t covered = 0;
  bool has_all = false;
  ASSERT_TRUE(ForEachData(file.fd(), kMiB, 40 * kMiB, [&](uint64_t offset, uint64_t bytes) {
    EXPECT_GE(offset, kMiB);
    EXPECT_LE(offset + bytes, 41 * kMiB);
    if (offset <= 8 * kMiB && offset + bytes >= 9 * kMiB) has_all = true;
    covered += bytes;
    return true;
  }));
  EXPECT_TRUE(has_all);
  // All of it, where the file system does not know holes.
  if (lseek(file.fd(), 0, SEEK_HOLE) == 0) {
    EXPECT_LT(covered, 8 * kMiB);
  }
  EXPECT_FALSE(ForEachData(file.fd(), 0, 64 * kMiB, [](uint64_t, uint64_t) { return false; }));
}

}  // namespace
}  // namespace taskmem
