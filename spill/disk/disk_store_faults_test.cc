// A disk store on disks that fail: that put or get fails, and nothing else happens.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "spill/disk/disk_store_testing.h"

namespace taskmem {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

class DiskStoreFaultsTest : public DiskStoreTest {};

struct Fault {
  int error;
  DiskErrorCode code;
};

constexpr Fault kFaults[] = {
    {ENOSPC, DiskErrorCode::kNoSpace},
    {EDQUOT, DiskErrorCode::kQuota},
    {EIO, DiskErrorCode::kIo},
    {EFBIG, DiskErrorCode::kTooLarge},
    {EMFILE, DiskErrorCode::kTooManyFiles},
    {ENFILE, DiskErrorCode::kTooManyFiles},
    {EROFS, DiskErrorCode::kReadOnly},
    {EACCES, DiskErrorCode::kNotPermitted},
    {ENOMEM, DiskErrorCode::kOther},
};

TEST_F(DiskStoreFaultsTest, EveryWriteMayFail) {
  const std::string data = RandomBytes(1, 3 * kMiB);
  for (const bool compressed : {false, HasLz4()}) {
    DiskStore store(dir_, Options(compressed), ops_);
    ASSERT_FALSE(Put(store, "block", "former"));
    const int descriptors = OpenDescriptors();
    for (const Fault& fault : kFaults) {
      for (int nth = 0;; ++nth) {
        const DiskStoreStats before = store.Stats();
        ops_.Fail(FailingFileOps::kWrite, nth, fault.error);
        const DiskError error = Put(store, "block", data);
        if (!ops_.has_failed()) {
          ASSERT_FALSE(error);
          EXPECT_GE(nth, 3);
          break;
        }
        EXPECT_EQ(error.code, fault.code);
        EXPECT_EQ(error.os_error, fault.error);
        EXPECT_EQ(Files().size(), 1u);
        EXPECT_EQ(store.Stats().puts_failed, before.puts_failed + 1);
        EXPECT_EQ(store.Stats().bytes_being_written_now, 0u);
        ExpectBlock(store, "block", "former");
      }
      ops_.FailNothing();
      ASSERT_FALSE(Put(store, "block", "former"));
    }
    EXPECT_EQ(OpenDescriptors(), descriptors);
    store.Clear();
  }
}

TEST_F(DiskStoreFaultsTest, ErrorsSayWhichAndWhere) {
  DiskStore store(dir_, Options(), ops_);
  ops_.Fail(FailingFileOps::kWrite, 0, ENOSPC);
  EXPECT_EQ(TextOf(Put(store, "block", "data")), "cannot write the block: No space left on device");
  ops_.Fail(FailingFileOps::kRenameAt, 0, EROFS);
  EXPECT_EQ(TextOf(Put(store, "block", "data")),
            "cannot rename the file of the block: Read-only file system");
  ops_.FailNothing();
  ASSERT_FALSE(Put(store, "block", "data"));
  ops_.Fail(FailingFileOps::kRead, 0, EIO);
  char read[4];
  EXPECT_EQ(TextOf(store.Get("block", read, 4)),
            "the block is lost: its file cannot be read: Input/output error");
}

// Each operation of a put in place of another, with every error, and with all after it failing
// as well.
TEST_F(DiskStoreFaultsTest, EveryOperationOfAPutMayFail) {
  for (const int fault : {ENOSPC, EIO, EMFILE}) {
    for (const bool for_ever : {false, true}) {
      bool has_failed = true;
      for (int nth = 0; has_failed; ++nth) {
        ASSERT_LT(nth, 1000);
        DiskStore store(dir_, Options(false, /*sync=*/true), ops_);
        ASSERT_FALSE(Put(store, "block", "former"));
        const int descriptors = OpenDescriptors();
        ops_.Fail(FailingFileOps::kAny, nth, fault, for_ever);
        const DiskError error = Put(store, "block", "latter");
        has_failed = ops_.has_failed();
        const FailingFileOps::Operation failed = ops_.failed();
        ops_.FailNothing();
        ExpectBlock(store, "block", error ? "former" : "latter");
        EXPECT_TRUE(OpenDescriptors() == descriptors || failed == FailingFileOps::kStat)
            << nth << ": " << failed;
        // What could not be removed then is removed now.
        EXPECT_TRUE(store.Remove("block"));
        EXPECT_TRUE(Files().empty()) << nth << ": " << failed;
        for (const std::string& path : Files()) std::filesystem::remove(path);
      }
    }
  }
}

TEST_F(DiskStoreFaultsTest, EveryOperationOfAGetMayFail) {
  DiskStore store(dir_, Options(), ops_);
  const std::string data = RandomBytes(3, kMiB);
  ASSERT_FALSE(Put(store, "block", data));
  for (const Fault& fault : kFaults) {
    bool has_failed = true;
    for (int nth = 0; has_failed; ++nth) {
      ASSERT_LT(nth, 1000);
      const int descriptors = OpenDescriptors();
      ops_.Fail(FailingFileOps::kAny, nth, fault.error);
      std::string read(data.size(), '?');
      const DiskError error = store.Get("block", read.data(), static_cast<int64_t>(read.size()));
      has_failed = ops_.has_failed();
      ops_.FailNothing();
      if (error) {
        EXPECT_TRUE(read == std::string(read.size(), '\0'));
      } else {
        EXPECT_TRUE(read == data);
      }
      EXPECT_EQ(OpenDescriptors(), descriptors);
      ExpectBlock(store, "block", data);
    }
  }
}

TEST_F(DiskStoreFaultsTest, ShortAndInterruptedWritesAndReads) {
  for (const bool compressed : {false, HasLz4()}) {
    DiskStore store(dir_, Options(compressed), ops_);
    const std::string data = std::string(20000, 'x') + RandomBytes(5, 50000);
    for (const size_t most : {1, 7, 4095, 4096, 65536}) {
      ops_.Shorten(most);
      ops_.Interrupt(2);
      ASSERT_FALSE(Put(store, "block", data));
      ExpectBlock(store, "block", data);
    }
    ops_.Shorten(0);
    ops_.Interrupt(0);
    ExpectBlock(store, "block", data);
    store.Clear();
  }
}

TEST_F(DiskStoreFaultsTest, ACrashBeforeTheRenameLeavesNoBlock) {
  const pid_t child = fork();
  if (child == 0) {
    SpillDir dir;
    FailingFileOps ops;
    if (dir.Open(test_.path(), nullptr, ops)) _exit(1);
    DiskStore store(dir, {}, ops);
    ops.Before([](FailingFileOps::Operation operation) {
      if (operation == FailingFileOps::kRenameAt) kill(getpid(), SIGKILL);
    });
    (void)Put(store, "block", "data");
    _exit(2);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, SIGKILL);
  ASSERT_EQ(Files().size(), 1u);
  EXPECT_TRUE(Files()[0].ends_with(".new"));
  SpillDir next;
  ASSERT_FALSE(next.Open(test_.path()));
  EXPECT_TRUE(NamesIn(test_.path()).empty());
}

TEST_F(DiskStoreFaultsTest, TheDirectoryVanishesAmidAPut) {
  DiskStore store(dir_, Options(), ops_);
  for (const FailingFileOps::Operation when : {FailingFileOps::kOpenAt, FailingFileOps::kChangeMode,
                                               FailingFileOps::kWrite, FailingFileOps::kRenameAt}) {
    ASSERT_FALSE(Put(store, "before", "data"));
    bool is_done = false;
    int opens = 0;
    ops_.Before([&](FailingFileOps::Operation operation) {
      if (operation != when || is_done) return;
      // Not those of the directories.
      if (operation == FailingFileOps::kOpenAt && ++opens < 3) return;
      is_done = true;
      std::filesystem::remove_all(Home());
    });
    const DiskError error = Put(store, "block", RandomBytes(1, 100));
    ops_.Before(nullptr);
    EXPECT_TRUE(is_done);
    if (error) {
      EXPECT_EQ(error.code, DiskErrorCode::kVanished);
      EXPECT_FALSE(store.Contains("block"));
    }
    ExpectLost(store, "before");
    ASSERT_FALSE(Put(store, "block", RandomBytes(2, 100)));
    ExpectBlock(store, "block", RandomBytes(2, 100));
    store.Clear();
  }
}

// Whose limit on the size of files is `bytes`, in a child. Returns how it ended.
template <typename Body>
int InChildWithFileLimit(rlim_t bytes, Body body) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit = {bytes, bytes};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(100);
    _exit(body());
  }
  int status;
  return waitpid(child, &status, 0) == child ? status : -1;
}

TEST_F(DiskStoreFaultsTest, AFileSizeLimitIsNoSignal) {
  for (const bool compressed : {false, HasLz4()}) {
    const int status = InChildWithFileLimit(100000, [&] {
      SpillDir dir;
      if (dir.Open(test_.path())) return 1;
      DiskStore store(dir, Options(compressed));
      // Compressed it fits, and what does not is only seen as it is written.
      if (Put(store, "zeros", std::string(200000, '\0')).code !=
          (compressed ? DiskErrorCode::kNone : DiskErrorCode::kTooLarge)) {
        return 2;
      }
      if (Put(store, "block", RandomBytes(1, 200000)).code != DiskErrorCode::kTooLarge) return 3;
      if (Put(store, "small", RandomBytes(1, 90000))) return 4;
      sigset_t pending;
      if (sigpending(&pending) != 0 || sigismember(&pending, SIGXFSZ)) return 5;
      // A limit that another thread sets in the meantime.
      FailingFileOps ops;
      DiskStore late(dir, Options(), ops);
      ops.Before([](FailingFileOps::Operation operation) {
        if (operation != FailingFileOps::kWrite) return;
        const rlimit limit = {1000, 1000};
        setrlimit(RLIMIT_FSIZE, &limit);
      });
      if (Put(late, "block", RandomBytes(1, 50000)).code != DiskErrorCode::kTooLarge) return 6;
      if (sigpending(&pending) != 0 || sigismember(&pending, SIGXFSZ)) return 7;
      store.Clear();
      dir.Remove();
      return 0;
    });
    EXPECT_EQ(status, 0) << WEXITSTATUS(status);
    EXPECT_TRUE(NamesIn(test_.path()).empty());
  }
}

TEST_F(DiskStoreFaultsTest, ASignalOfTheProgramsOwnStaysPending) {
  const int status = InChildWithFileLimit(RLIM_INFINITY, [&] {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    raise(SIGXFSZ);
    SpillDir dir;
    if (dir.Open(test_.path())) return 1;
    DiskStore store(dir, {});
    if (Put(store, "block", "data")) return 2;
    dir.Remove();
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGXFSZ) ? 0 : 3;
  });
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
}

TEST_F(DiskStoreFaultsTest, NoDescriptorsLeft) {
  DiskStore store(dir_, Options(), ops_);
  ASSERT_FALSE(Put(store, "block", "data"));
  rlimit former;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &former), 0);
  std::vector<int> taken;
  const rlimit few = {40, former.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken.push_back(fd);
  // With 0, 1, 2 left; it needs 2 at a time.
  for (int left = 0; left < 3; ++left) {
    const DiskError put = Put(store, "other", "data");
    EXPECT_EQ(put.code, left < 2 ? DiskErrorCode::kTooManyFiles : DiskErrorCode::kNone) << left;
    char read[4];
    const DiskError got = store.Get("block", read, 4);
    EXPECT_EQ(got.code, left < 2 ? DiskErrorCode::kTooManyFiles : DiskErrorCode::kNone) << left;
    close(taken.back());
    taken.pop_back();
  }
  for (const int fd : taken) close(fd);
  setrlimit(RLIMIT_NOFILE, &former);
  ExpectBlock(store, "block", "data");
}

// A thread that is cancelled while a block of it is written, as one that waits for malloc.
TEST_F(DiskStoreFaultsTest, ACancelledThreadFinishesItsPut) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer itself fails where a thread is cancelled";
#endif
  DiskStore store(dir_, Options(), ops_);
  struct Shared {
    DiskStore& store;
    bool has_put = false;
  } shared = {store};
  ops_.Before([](FailingFileOps::Operation operation) {
    if (operation == FailingFileOps::kWrite) pthread_cancel(pthread_self());
  });
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, nullptr,
                [](void* context) -> void* {
                  auto& it = *static_cast<Shared*>(context);
                  it.has_put = !it.store.Put("block", "data", 4);
                  pthread_testcancel();
                  return nullptr;
                },
                &shared),
            0);
  void* result = nullptr;
  ASSERT_EQ(pthread_join(thread, &result), 0);
  ops_.Before(nullptr);
  EXPECT_EQ(result, PTHREAD_CANCELED);
  EXPECT_TRUE(shared.has_put);
  ExpectBlock(store, "block", "data");
}

TEST_F(DiskStoreFaultsTest, AFullDisk) {
  if (getuid() != 0) GTEST_SKIP() << "only root can mount a small file system";
  const TestDirectory small;
  if (mount("none", small.path().c_str(), "tmpfs", 0, "size=4m") != 0) {
    GTEST_SKIP() << "a small file system cannot be mounted here";
  }
  {
    SpillDir dir;
    ASSERT_FALSE(dir.Open(small.path()));
    DiskStore store(dir, Options());
    int64_t whole = 0;
    ASSERT_FALSE(dir.FreeBytes(&whole));
    EXPECT_EQ(Put(store, "large", RandomBytes(1, 6 * kMiB)).code, DiskErrorCode::kNoSpace);
    int64_t free_bytes = 0;
    ASSERT_FALSE(dir.FreeBytes(&free_bytes));
    EXPECT_GE(free_bytes, whole - 65536) << "the space is free again";
    int stored = 0;
    DiskError error;
    while (!(error = Put(store, std::to_string(stored), RandomBytes(1, kMiB / 2)))) ++stored;
    EXPECT_EQ(error.code, DiskErrorCode::kNoSpace);
    EXPECT_GE(stored, 6);
    for (int i = 0; i < stored; ++i) {
      ExpectBlock(store, std::to_string(i), RandomBytes(1, kMiB / 2));
    }
    EXPECT_TRUE(store.Remove("0"));
    EXPECT_FALSE(Put(store, "next", RandomBytes(2, kMiB / 2)));
    dir.Remove();
    EXPECT_TRUE(NamesIn(small.path()).empty());
  }
  umount(small.path().c_str());
}

TEST_F(DiskStoreFaultsTest, AReadOnlyFileSystem) {
  if (getuid() != 0) GTEST_SKIP() << "only root can mount a file system";
  const TestDirectory small;
  if (mount("none", small.path().c_str(), "tmpfs", 0, "size=4m") != 0) {
    GTEST_SKIP() << "a file system cannot be mounted here";
  }
  {
    SpillDir dir;
    EXPECT_FALSE(dir.Open(small.path()));
    EXPECT_EQ(mount("none", small.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr), 0);
    DiskStore store(dir, Options());
    EXPECT_EQ(Put(store, "block", "data").code, DiskErrorCode::kReadOnly);
    SpillDir next;
    EXPECT_EQ(next.Open(small.path()).code, DiskErrorCode::kReadOnly);
    EXPECT_EQ(mount("none", small.path().c_str(), "tmpfs", MS_REMOUNT, nullptr), 0);
    EXPECT_FALSE(Put(store, "block", "data"));
    dir.Remove();
  }
  umount(small.path().c_str());
}

}  // namespace
}  // namespace taskmem
