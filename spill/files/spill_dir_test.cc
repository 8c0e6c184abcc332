#include "spill/files/spill_dir.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "spill/files/failing_file_ops.h"
#include "spill/files/process_start.h"
#include "spill/files/spill_testing.h"

namespace taskmem {
namespace {

namespace fs = std::filesystem;

// No process has it: the kernel gives none above 2^22.
constexpr char kDeadProcess[] = "taskmem-2147483647-1";

std::string OwnName() {
  char text[kMaxSpillNameBytes];
  WriteSpillDirName({getpid(), ProcessStartTime(SystemFileOps(), getpid()), 0}, text);
  return text;
}

void WriteFile(const std::string& path, const std::string& text = "x") {
  std::ofstream(path) << text;
}

// What a process leaves that was killed.
void MakeLeftOver(const std::string& path) {
  fs::create_directory(path);
  WriteFile(path + "/lock", "");
  WriteFile(path + "/block-0123456789abcdef-1");
  WriteFile(path + "/block-0123456789abcdef-2.new");
  WriteFile(path + "/unlinked-3");
}

// Makes the directory of the process, and closes the descriptor.
DiskError Use(SpillDir& dir, uint64_t* generation = nullptr) {
  int fd;
  uint64_t ignored;
  const DiskError error = dir.OpenDirectory(&fd, generation != nullptr ? generation : &ignored);
  if (!error) close(fd);
  return error;
}

bool WaitsWith(pid_t pid, int status) {
  int actual;
  return waitpid(pid, &actual, 0) == pid && actual == status;
}

TEST(SpillDir, ItsDirectoryIsMadeAtFirstUseAndRemovedAtTheEnd) {
  const TestDirectory test;
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test / "spill"));
  EXPECT_STREQ(dir.path(), (test / "spill").c_str());
  EXPECT_TRUE(NamesIn(test / "spill").empty());

  ASSERT_FALSE(Use(dir));
  EXPECT_EQ(NamesIn(test / "spill"), std::vector<std::string>{OwnName()});
  struct stat status;
  for (const std::string& path : {test / "spill", test / "spill/" + OwnName()}) {
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0700u) << path;
  }
  WriteFile(test / "spill/" + OwnName() + "/block-0123456789abcdef-1");

  dir.Remove();
  EXPECT_TRUE(NamesIn(test / "spill").empty());
  EXPECT_EQ(Use(dir).code, DiskErrorCode::kClosed);
  dir.Remove();
}

TEST(SpillDir, TheUmaskTakesNothingItNeeds) {
  const TestDirectory test;
  const mode_t former = umask(0777);
  SpillDir dir;
  EXPECT_FALSE(dir.Open(test.path()));
  EXPECT_FALSE(Use(dir));
  int fd = -1;
  EXPECT_FALSE(dir.OpenUnlinked(0, &fd));
  umask(former);
  struct stat status;
  ASSERT_EQ(stat((test / OwnName()).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  ASSERT_EQ(fstat(fd, &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  close(fd);
  dir.Remove();
}

TEST(SpillDir, BadDirectoriesAreNamed) {
  const TestDirectory test;
  SpillDir dir;
  EXPECT_EQ(dir.Open("").code, DiskErrorCode::kInvalidArgument);
  EXPECT_EQ(dir.Open(std::string(5000, 'x')).code, DiskErrorCode::kInvalidArgument);
  EXPECT_EQ(dir.Open(std::string_view("/a\0b", 4)).code, DiskErrorCode::kInvalidArgument);
  WriteFile(test / "file");
  EXPECT_EQ(dir.Open(test / "file").code, DiskErrorCode::kNotADirectory);
  const DiskError missing = dir.Open(test / "missing/spill");
  EXPECT_EQ(missing.code, DiskErrorCode::kVanished);
  EXPECT_EQ(TextOf(missing),
            "cannot make the spill directory, since the one above it is missing: "
            "No such file or directory");
  EXPECT_FALSE(dir.is_open());
  EXPECT_EQ(Use(dir).code, DiskErrorCode::kClosed);
}

TEST(SpillDir, ARelativePathStaysWhereItWas) {
  const TestDirectory test;
  const fs::path former = fs::current_path();
  fs::current_path(test.path());
  SpillDir dir;
  EXPECT_FALSE(dir.Open("spill//"));
  fs::current_path(former);
  ASSERT_FALSE(Use(dir));
  EXPECT_EQ(NamesIn(test / "spill"), std::vector<std::string>{OwnName()});
  dir.Remove();
}

TEST(SpillDir, ASymbolicLinkOfAnotherUserIsNotFollowed) {
  const TestDirectory test;
  fs::create_directory(test / "real");
  fs::create_symlink(test / "real", test / "link");
  SpillDir dir;
  EXPECT_FALSE(dir.Open(test / "link"));
  EXPECT_FALSE(Use(dir));
  EXPECT_EQ(NamesIn(test / "real"), std::vector<std::string>{OwnName()});
  dir.Remove();

  if (getuid() != 0) GTEST_SKIP() << "only root can give a link to another user";
  ASSERT_EQ(lchown((test / "link").c_str(), 12345, 12345), 0);
  SpillDir other;
  const DiskError error = other.Open(test / "link");
  EXPECT_EQ(error.code, DiskErrorCode::kNotPermitted);
  EXPECT_EQ(TextOf(error),
            "cannot use the spill directory, a symbolic link: it belongs to another user");
}

TEST(SpillDir, WhatOthersPutUnderItsNameIsLeftAlone) {
  const TestDirectory test;
  fs::create_directory(test / "real");
  fs::create_symlink(test / "real", test / OwnName());
  WriteFile(test / OwnName() + "-1");
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  ASSERT_FALSE(Use(dir));
  EXPECT_TRUE(fs::is_directory(test / OwnName() + "-2"));
  EXPECT_TRUE(NamesIn(test / "real").empty());
  dir.Remove();
  EXPECT_EQ(NamesIn(test.path()), (std::vector<std::string>{"real", OwnName(), OwnName() + "-1"}));
}

TEST(SpillDir, LeftOversOfDeadProcessesAreRemoved) {
  const TestDirectory test;
  MakeLeftOver(test / kDeadProcess);
  // A process of that pid lives, but another one had the directory.
  MakeLeftOver(test / ("taskmem-" + std::to_string(getppid()) + "-1"));
  // Killed before it had a lock.
  fs::create_directory(test / "taskmem-2147483646-1-7");
  // Of this process before an exec.
  MakeLeftOver(test / OwnName());
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  EXPECT_TRUE(NamesIn(test.path()).empty()) << NamesIn(test.path()).front();
}

TEST(SpillDir, NothingElseIsRemoved) {
  const TestDirectory test;
  fs::create_directory(test / "2024-11");
  WriteFile(test / "2024-11/block-0123456789abcdef-1");
  fs::create_directory(test / "taskmem-1-1.bak");
  WriteFile(test / "taskmem-2147483645-1");
  fs::create_directory(test / "real");
  WriteFile(test / "real/block-0123456789abcdef-1");
  fs::create_symlink(test / "real", test / "taskmem-2147483644-1");
  MakeLeftOver(test / kDeadProcess);
  WriteFile(test / kDeadProcess + "/notes.txt");
  const std::vector<std::string> before = NamesIn(test.path());

  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  EXPECT_EQ(NamesIn(test.path()), before);
  EXPECT_EQ(NamesIn(test / "real").size(), 1u);
  EXPECT_EQ(NamesIn(test / "2024-11").size(), 1u);
  EXPECT_EQ(NamesIn(test / kDeadProcess), std::vector<std::string>{"notes.txt"});
}

TEST(SpillDir, LeftOversOfAnotherUserAreNotRemoved) {
  if (getuid() != 0) GTEST_SKIP() << "only root can give a directory to another user";
  const TestDirectory test;
  MakeLeftOver(test / kDeadProcess);
  ASSERT_EQ(chown((test / kDeadProcess).c_str(), 12345, 12345), 0);
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  EXPECT_EQ(NamesIn(test / kDeadProcess).size(), 4u);
}

TEST(SpillDir, ALockedDirectoryIsOfAProcessThatLives) {
  // As one of another pid name space looks.
  const TestDirectory test;
  MakeLeftOver(test / kDeadProcess);
  const int lock = open((test / kDeadProcess + "/lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(lock, LOCK_EX), 0);
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  EXPECT_EQ(NamesIn(test / kDeadProcess).size(), 4u);
  close(lock);
  SpillDir next;
  ASSERT_FALSE(next.Open(test.path()));
  EXPECT_TRUE(NamesIn(test.path()).empty());
}

TEST(SpillDir, ADirectoryOfALivingProcessStaysWithoutItsLock) {
  // As after a program closed all its descriptors.
  const TestDirectory test;
  MakeLeftOver(test / ("taskmem-" + std::to_string(getppid()) + "-" +
                       std::to_string(ProcessStartTime(SystemFileOps(), getppid()))));
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  EXPECT_EQ(NamesIn(test.path()).size(), 1u);
}

TEST(SpillDir, TwoOfOneProcessDoNotShare) {
  const TestDirectory test;
  SpillDir one;
  SpillDir two;
  ASSERT_FALSE(one.Open(test.path()));
  ASSERT_FALSE(Use(one));
  ASSERT_FALSE(two.Open(test.path()));
  ASSERT_FALSE(Use(two));
  EXPECT_EQ(NamesIn(test.path()), (std::vector<std::string>{OwnName(), OwnName() + "-1"}));
  two.Remove();
  EXPECT_EQ(NamesIn(test.path()), std::vector<std::string>{OwnName()});
  one.Remove();
}

TEST(SpillDir, ADirectoryThatVanishedIsMadeAgain) {
  const TestDirectory test;
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test / "spill"));
  uint64_t first;
  ASSERT_FALSE(Use(dir, &first));
  uint64_t again;
  ASSERT_FALSE(Use(dir, &again));
  EXPECT_EQ(again, first);
  int fd;
  ASSERT_FALSE(dir.OpenExisting(first, &fd));
  close(fd);

  const int descriptors = OpenDescriptors();
  for (const std::string& gone : {test / "spill/" + OwnName(), test / "spill"}) {
    fs::remove_all(gone);
    EXPECT_EQ(dir.OpenExisting(again, &fd).code, DiskErrorCode::kVanished);
    uint64_t former = again;
    ASSERT_FALSE(Use(dir, &again));
    EXPECT_NE(again, former);
    EXPECT_EQ(dir.OpenExisting(former, &fd).code, DiskErrorCode::kVanished);
    EXPECT_EQ(NamesIn(test / "spill"), std::vector<std::string>{OwnName()});
  }
  // Somebody else's directory in its place is not taken for it.
  fs::rename(test / "spill/" + OwnName(), test / "spill/moved");
  fs::create_directory(test / "spill/" + OwnName());
  EXPECT_EQ(dir.OpenExisting(again, &fd).code, DiskErrorCode::kVanished);
  EXPECT_EQ(OpenDescriptors(), descriptors);
  dir.Remove();
}

TEST(SpillDir, ThreadsThatFindNoDirectoryMakeOne) {
  const TestDirectory test;
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  const int descriptors = OpenDescriptors();
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> ready{0};
    std::vector<uint64_t> generations(4);
    std::vector<std::thread> threads;
    for (uint64_t& generation : generations) {
      threads.emplace_back([&] {
        ++ready;
        while (ready < 4) std::this_thread::yield();
        EXPECT_FALSE(Use(dir, &generation));
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const uint64_t generation : generations) EXPECT_EQ(generation, generations[0]);
    EXPECT_EQ(NamesIn(test.path()).size(), 1u);
    fs::remove_all(test / NamesIn(test.path())[0]);
  }
  // The lock of the last one.
  EXPECT_EQ(OpenDescriptors(), descriptors + 1);
  dir.Remove();
  EXPECT_EQ(OpenDescriptors(), descriptors);
}

TEST(SpillDir, AChildHasItsOwn) {
  const TestDirectory test;
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  uint64_t generation;
  ASSERT_FALSE(Use(dir, &generation));
  WriteFile(test / OwnName() + "/block-0123456789abcdef-1");
  ForkLocks locks;
  dir.AddLocks(&locks);
  locks.LockAll(kNoDeadline);
  const pid_t child = fork();
  if (child == 0) {
    dir.ResetInChild();
    int fd;
    uint64_t own;
    if (NamesIn(test.path()).size() != 1) _exit(1);
    if (dir.OpenExisting(generation, &fd).code != DiskErrorCode::kVanished) _exit(2);
    if (Use(dir, &own) || own == generation) _exit(3);
    if (NamesIn(test.path()).size() != 2 || !fs::exists(test / OwnName())) _exit(4);
    dir.Remove();
    _exit(NamesIn(test.path()).size() == 1 ? 0 : 5);
  }
  locks.UnlockAll();
  EXPECT_TRUE(WaitsWith(child, 0));
  EXPECT_EQ(NamesIn(test / OwnName()).size(), 2u);
  // The parent's lock outlives the child.
  const int lock = open((test / OwnName() + "/lock").c_str(), O_RDWR | O_CLOEXEC);
  EXPECT_EQ(flock(lock, LOCK_EX | LOCK_NB), -1);
  close(lock);
  dir.Remove();
  EXPECT_TRUE(NamesIn(test.path()).empty());
}

TEST(SpillDir, AChildThatNobodyAnnouncedHasNone) {
  const TestDirectory test;
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  ASSERT_FALSE(Use(dir));
  const pid_t child = fork();
  if (child == 0) {
    if (Use(dir).code != DiskErrorCode::kWrongProcess) _exit(1);
    dir.Remove();
    _exit(0);
  }
  EXPECT_TRUE(WaitsWith(child, 0));
  EXPECT_EQ(NamesIn(test.path()).size(), 1u);
  dir.Remove();
}

TEST(SpillDir, TheNextStartRemovesWhatAKilledProcessLeft) {
  const TestDirectory test;
  int pipes[2];
  ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
  const pid_t child = fork();
  if (child == 0) {
    SpillDir dir;
    if (dir.Open(test.path()) || Use(dir)) _exit(1);
    WriteFile(test / OwnName() + "/block-0123456789abcdef-1.new");
    if (write(pipes[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  close(pipes[1]);
  char byte;
  ASSERT_EQ(read(pipes[0], &byte, 1), 1);
  close(pipes[0]);
  SpillDir meanwhile;
  ASSERT_FALSE(meanwhile.Open(test.path()));
  EXPECT_EQ(NamesIn(test.path()).size(), 1u);
  ASSERT_EQ(kill(child, SIGKILL), 0);
  EXPECT_TRUE(WaitsWith(child, SIGKILL));
  SpillDir next;
  ASSERT_FALSE(next.Open(test.path()));
  EXPECT_TRUE(NamesIn(test.path()).empty());
}

TEST(SpillDir, ProcessesStartAndEndAtOnce) {
  const TestDirectory test;
  constexpr int kProcesses = 4;
  constexpr int kRounds = 60;
  pid_t children[kProcesses];
  for (pid_t& child : children) {
    child = fork();
    if (child != 0) continue;
    for (int round = 0; round < kRounds; ++round) {
      // Each is left over at the end of the round, as by a kill.
      const pid_t killed = fork();
      if (killed == 0) {
        SpillDir dir;
        if (dir.Open(test / "spill")) _exit(1);
        int fd;
        uint64_t generation;
        if (dir.OpenDirectory(&fd, &generation)) _exit(2);
        const int file = openat(fd, "block-0123456789abcdef-1", O_CREAT | O_EXCL | O_RDWR, 0600);
        struct stat status;
        // Nobody has taken it for dead.
        SpillDir other;
        if (other.Open(test / "spill")) _exit(3);
        if (file < 0 || fstat(file, &status) != 0 || status.st_nlink != 1) _exit(4);
        if (dir.OpenExisting(generation, &fd)) _exit(5);
        _exit(0);
      }
      int status;
      if (waitpid(killed, &status, 0) != killed || status != 0) {
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
      }
    }
    _exit(0);
  }
  for (const pid_t child : children) {
    int status;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0) << WEXITSTATUS(status);
  }
  SpillDir next;
  ASSERT_FALSE(next.Open(test / "spill"));
  EXPECT_TRUE(NamesIn(test / "spill").empty());
}

TEST(SpillDir, AProgramMayCloseAllDescriptors) {
  const TestDirectory test;
  const pid_t child = fork();
  if (child == 0) {
    SpillDir dir;
    if (dir.Open(test.path()) || Use(dir)) _exit(1);
    for (int fd = 3; fd < 2000; ++fd) close(fd);
    // The number of the lock is another file's now: it must stay open.
    int other = open("/dev/null", O_RDONLY);
    for (int fd = 3; fd < 1000; ++fd) dup2(other, fd);
    // Room for what is to be opened; the lock is taken again.
    for (int fd = 10; fd < 100; ++fd) close(fd);
    if (Use(dir)) _exit(2);
    const int lock = open((test / OwnName() + "/lock").c_str(), O_RDWR);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) == 0) _exit(3);
    dir.Remove();
    for (int fd = 100; fd < 1000; ++fd) {
      struct stat status;
      if (fstat(fd, &status) != 0 || !S_ISCHR(status.st_mode)) _exit(4);
    }
    _exit(0);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
  EXPECT_TRUE(NamesIn(test.path()).empty());
}

TEST(SpillDir, UnlinkedFiles) {
  const TestDirectory test;
  FailingFileOps ops;
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path(), nullptr, ops));
  ASSERT_FALSE(Use(dir));
  const int descriptors = OpenDescriptors();
  for (const int error : {0, EOPNOTSUPP, EISDIR, EINVAL}) {
    // 0: O_TMPFILE works. Its open comes after two of the user's directory.
    if (error != 0) ops.Fail(FailingFileOps::kOpenAt, 2, error);
    int fd = -1;
    ASSERT_FALSE(dir.OpenUnlinked(1 << 20, &fd)) << error;
    EXPECT_EQ(ops.has_failed(), error != 0);
    EXPECT_GE(fd, 512);
    struct stat status;
    ASSERT_EQ(fstat(fd, &status), 0);
    EXPECT_TRUE(S_ISREG(status.st_mode));
    EXPECT_EQ(status.st_nlink, 0u);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
    EXPECT_EQ(status.st_size, 0);
    EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(pwrite(fd, "abc", 3, 1000), 3);
    EXPECT_EQ(NamesIn(test / OwnName()), std::vector<std::string>{"lock"});
    close(fd);
  }
  EXPECT_EQ(OpenDescriptors(), descriptors);
  dir.Remove();
}

// A process that is killed leaves no directory because of them.
TEST(SpillDir, UnlinkedFilesNeedNoDirectoryOfTheProcess) {
  const TestDirectory test;
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  int fd = -1;
  ASSERT_FALSE(dir.OpenUnlinked(0, &fd));
  EXPECT_TRUE(NamesIn(test.path()).empty());
  close(fd);
  dir.Remove();
}

TEST(SpillDir, AnOwnDirectoryIsNobodyElses) {
  const TestDirectory test;
  const std::string path = test / "own";
  {
    SpillDir dir;
    ASSERT_FALSE(dir.OpenOwn(path));
    EXPECT_FALSE(Use(dir));
    // Somebody cleans up, and somebody else comes.
    dir.Remove();
  }
  for (const mode_t mode : {0777, 0755, 0710}) {
    chmod(path.c_str(), mode);
    SpillDir dir;
    EXPECT_EQ(dir.OpenOwn(path).code, DiskErrorCode::kNotPermitted) << mode;
    EXPECT_FALSE(dir.is_open());
  }
  chmod(path.c_str(), 0700);
  SpillDir dir;
  ASSERT_FALSE(dir.OpenOwn(path));
  ASSERT_EQ(rmdir(path.c_str()), 0);
  ASSERT_EQ(mkdir((test / "others").c_str(), 0700), 0);
  ASSERT_EQ(symlink((test / "others").c_str(), path.c_str()), 0);
  int fd;
  EXPECT_TRUE(dir.OpenUnlinked(0, &fd));
  EXPECT_TRUE(Use(dir));
  EXPECT_TRUE(NamesIn(test / "others").empty());
  if (geteuid() == 0) {
    ASSERT_EQ(unlink(path.c_str()), 0);
    ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
    ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
    EXPECT_EQ(dir.OpenUnlinked(0, &fd).code, DiskErrorCode::kNotPermitted);
    EXPECT_TRUE(NamesIn(path).empty());
  }
}

TEST(SpillDir, UnlinkedFilesThatCannotGetSoLarge) {
  const TestDirectory test;
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  int64_t free_bytes = 0;
  ASSERT_FALSE(dir.FreeBytes(&free_bytes));
  EXPECT_GT(free_bytes, 0);
  int fd;
  EXPECT_EQ(dir.OpenUnlinked(INT64_MAX, &fd).code, DiskErrorCode::kNoSpace);
  rlimit former;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &former), 0);
  const rlimit small = {1000, former.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const DiskError error = dir.OpenUnlinked(1001, &fd);
  setrlimit(RLIMIT_FSIZE, &former);
  EXPECT_EQ(error.code, DiskErrorCode::kTooLarge);
  EXPECT_EQ(TextOf(error),
            "cannot make a file in the spill directory: "
            "the limit on the size of files (ulimit -f) is below that");
  dir.Remove();
}

TEST(SpillDir, MemoryIsToldFromDisk) {
  const TestDirectory test;
  SpillDir dir;
  ASSERT_FALSE(dir.Open(test.path()));
  if (getuid() == 0 && mount("none", test.path().c_str(), "tmpfs", 0, "size=64k") == 0) {
    bool in_memory = false;
    EXPECT_FALSE(dir.IsInMemory(&in_memory));
    EXPECT_TRUE(in_memory);
    umount(test.path().c_str());
  }
  const int shared = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (shared >= 0) {
    EXPECT_TRUE(SpillDir::IsInMemory(shared));
    close(shared);
  }
  const int system = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  EXPECT_FALSE(SpillDir::IsInMemory(system));
  close(system);
}

// Every operation of a first use fails in turn, with every error.
TEST(SpillDir, AnyOperationMayFail) {
  for (const int error : {EIO, ENOSPC, EDQUOT, EROFS, EACCES, EMFILE, ENOENT, ENOTDIR}) {
    bool has_failed = true;
    for (int nth = 0; has_failed; ++nth) {
      ASSERT_LT(nth, 1000);
      const TestDirectory test;
      MakeLeftOver(test / kDeadProcess);
      const int descriptors = OpenDescriptors();
      FailingFileOps ops;
      SpillDir dir;
      ops.Fail(FailingFileOps::kAny, nth, error);
      const DiskError opened = dir.Open(test.path(), nullptr, ops);
      if (!opened) {
        const DiskError used = Use(dir);
        int fd;
        const DiskError unlinked = used ? used : dir.OpenUnlinked(1, &fd);
        if (!unlinked) close(fd);
      }
      has_failed = ops.has_failed();
      ops.FailNothing();
      // It works when the fault is over, and all is gone at the end.
      if (opened) {
        ASSERT_FALSE(dir.Open(test.path(), nullptr, ops));
      }
      EXPECT_FALSE(Use(dir)) << error << " at " << nth;
      dir.Remove();
      // A descriptor of which nobody can say what it is may be the program's: it stays.
      EXPECT_LE(OpenDescriptors(), descriptors + (ops.failed() == FailingFileOps::kStat ? 1 : 0))
          << error << " at " << nth;
      SpillDir next;
      ASSERT_FALSE(next.Open(test.path()));
      const auto left = NamesIn(test.path());
      EXPECT_TRUE(left.empty()) << error << " at " << nth << ": " << left[0];
    }
  }
}

}  // namespace
}  // namespace taskmem
