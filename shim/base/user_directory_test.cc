#include "shim/base/user_directory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace taskmem {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kSomebody = 65534;

class UserDirectoryTest : public testing::Test {
 protected:
  // Parents have short paths: TEST_TMPDIR is a long one.
  UserDirectoryTest() {
    char path[] = "/tmp/users-XXXXXX";
    parent_ = mkdtemp(path);
  }
  ~UserDirectoryTest() override { fs::remove_all(parent_); }

  // The path of the directory that is opened, or "error <number>".
  std::string Open() const {
    char path[kUserDirectoryBytes];
    const int fd = OpenUserDirectory(parent_.c_str(), path);
    if (fd < 0) return "error " + std::to_string(-fd);
    struct stat by_fd;
    struct stat by_name;
    EXPECT_EQ(fstat(fd, &by_fd), 0);
    EXPECT_EQ(lstat(path, &by_name), 0);
    EXPECT_EQ(by_fd.st_ino, by_name.st_ino);
    EXPECT_EQ(by_fd.st_mode & 07777, 0700u);
    EXPECT_EQ(by_fd.st_uid, geteuid());
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    return path;
  }

  std::vector<std::string> All() const {
    std::vector<std::string> paths;
    ForEachUserDirectory(
        parent_.c_str(),
        [](void* context, const char* path, int fd) {
          EXPECT_GE(fd, 0);
          static_cast<std::vector<std::string>*>(context)->push_back(path);
        },
        &paths);
    return paths;
  }

  std::string First() const { return parent_ + "/taskmem-" + std::to_string(geteuid()); }

  // What others did is not used, and all who look find the same one instead.
  void ExpectAnother() const {
    const std::string another = Open();
    EXPECT_TRUE(another.starts_with(First() + "-")) << another;
    EXPECT_EQ(Open(), another);
    EXPECT_EQ(All(), std::vector<std::string>{another});
  }

  std::string parent_;
};

TEST_F(UserDirectoryTest, IsMadeOnce) {
  EXPECT_TRUE(All().empty());
  EXPECT_EQ(Open(), First());
  EXPECT_EQ(Open(), First());
  EXPECT_EQ(All(), std::vector<std::string>{First()});
}

TEST_F(UserDirectoryTest, IsClosedToOthersWhateverTheUmask) {
  const mode_t before = umask(0277);
  const std::string path = Open();
  umask(before);
  EXPECT_EQ(path, First());
}

TEST_F(UserDirectoryTest, AFileIsNotUsed) {
  std::ofstream(First()) << "x";
  ExpectAnother();
}

TEST_F(UserDirectoryTest, ALinkIsNotUsed) {
  fs::create_directory(parent_ + "/elsewhere");
  chmod((parent_ + "/elsewhere").c_str(), 0700);
  fs::create_symlink(parent_ + "/elsewhere", First());
  ExpectAnother();
  EXPECT_TRUE(fs::is_empty(parent_ + "/elsewhere"));
}

TEST_F(UserDirectoryTest, ALinkToNothingIsNotUsed) {
  fs::create_symlink(parent_ + "/nothing", First());
  ExpectAnother();
  EXPECT_FALSE(fs::exists(parent_ + "/nothing"));
}

TEST_F(UserDirectoryTest, WhatOthersMayEnterIsNotUsed) {
  for (const mode_t mode : {0777, 01777, 0755, 0710, 0701}) {
    fs::remove_all(First());
    mkdir(First().c_str(), 0700);
    chmod(First().c_str(), mode);
    ExpectAnother();
  }
}

TEST_F(UserDirectoryTest, ADirectoryOfSomebodyElseIsNotUsed) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  mkdir(First().c_str(), 0700);
  ASSERT_EQ(chown(First().c_str(), kSomebody, kSomebody), 0);
  // Nor are others that he makes.
  const std::string planted = First() + "-0000000000000000";
  mkdir(planted.c_str(), 0700);
  ASSERT_EQ(chown(planted.c_str(), kSomebody, kSomebody), 0);
  fs::create_symlink("/root", First() + "-0000000000000001");
  ExpectAnother();
}

TEST_F(UserDirectoryTest, TheFirstOfSeveralIsChosen) {
  std::ofstream(First()) << "x";
  for (const char* end :
       {"-00000000000000ff", "-0000000000000001", "-0123456789abcdef", "-1", "-x"}) {
    mkdir((First() + end).c_str(), 0700);
  }
  EXPECT_EQ(Open(), First() + "-0000000000000001");
  EXPECT_EQ(All().size(), 3u);
}

TEST_F(UserDirectoryTest, AParentThatIsMissingOrFullIsAnError) {
  char path[kUserDirectoryBytes];
  EXPECT_EQ(OpenUserDirectory("/no/such", path), -ENOENT);
  EXPECT_EQ(OpenUserDirectory("/dev/null", path), -ENOTDIR);
  EXPECT_LT(OpenUserDirectory("/proc/self", path), 0);
  EXPECT_EQ(OpenOwnDirectory("/dev/null"), -ENOTDIR);
}

}  // namespace
}  // namespace taskmem
