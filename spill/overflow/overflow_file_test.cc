#include "spill/overflow/overflow_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace {
int fallocate_error = 0;  // what fallocate fails with; 0: it is the system's
}

// In place of libc's, for file systems that this machine has not.
extern "C" int fallocate(int fd, int mode, off_t offset, off_t length) {
  if (fallocate_error == 0) {
    return static_cast<int>(syscall(SYS_fallocate, fd, mode, offset, length));
  }
  errno = fallocate_error;
  return -1;
}

namespace taskmem {
namespace {

constexpr size_t kUnit = OverflowFile::kUnitBytes;
constexpr size_t kMiB = size_t{1} << 20;

class TestSource final : public OverflowFileSource {
 public:
  explicit TestSource(std::string directory) : directory_(std::move(directory)) {}

  int OpenUnlinked() override {
    ++opened;
    if (fails) return -1;
    std::string path = directory_ + "/overflow_XXXXXX";
    const int fd = mkostemp(path.data(), O_CLOEXEC);
    if (fd < 0) return -1;
    unlink(path.c_str());
    last_fd = fcntl(fd, F_DUPFD_CLOEXEC, 300);
    close(fd);
    return last_fd;
  }

  bool fails = false;
  int opened = 0;
  int last_fd = -1;

 private:
  std::string directory_;
};

std::string OnDisk() {
  const char* directory = getenv("TEST_TMPDIR");
  return directory != nullptr ? directory : "/var/tmp";
}

uint64_t BlocksOf(int fd) {
  struct stat status = {};
  return fstat(fd, &status) == 0 ? static_cast<uint64_t>(status.st_blocks) * 512 : 0;
}

void SetLimit(int resource, uint64_t bytes) {
  const struct rlimit limit = {bytes, RLIM_INFINITY};
  setrlimit(static_cast<__rlimit_resource_t>(resource), &limit);
}

uint64_t AddressesUsed() {
  uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * 4096;
}

// By a signal, or as a sanitizer says it.
bool Crashed(int status) {
  return WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) != 0);
}

class OverflowFileTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(file_.Open(source_, 512 * kMiB), OverflowStatus::kOk); }

  char* Take(size_t bytes) {
    void* start = nullptr;
    EXPECT_EQ(file_.Allocate(bytes, kUnit, 0, &start), OverflowStatus::kOk);
    return static_cast<char*>(start);
  }

  TestSource source_{OnDisk()};
  OverflowFile file_;
};

TEST_F(OverflowFileTest, GivesZeroedMemoryThatHoldsWhatIsWritten) {
  char* start = Take(4 * kMiB);
  ASSERT_NE(start, nullptr);
  for (size_t i = 0; i < 4 * kMiB; i += 4096) ASSERT_EQ(start[i], 0);
  memset(start, 7, 4 * kMiB);
  const auto address = reinterpret_cast<uintptr_t>(start);
  OverflowFile::Unmap(address, 4 * kMiB);
  EXPECT_TRUE(file_.WriteAndDrop(address, 4 * kMiB));
  for (size_t i = 0; i < 4 * kMiB; i += 512) ASSERT_EQ(start[i], 7);
}

TEST_F(OverflowFileTest, WhatIsDroppedLeavesThePageTable) {
  char* start = Take(kMiB);
  memset(start, 7, kMiB);
  OverflowFile::Unmap(reinterpret_cast<uintptr_t>(start), kMiB);
  ASSERT_TRUE(file_.WriteAndDrop(reinterpret_cast<uintptr_t>(start), kMiB));
  unsigned char cached[kMiB / 4096];
  ASSERT_EQ(mincore(start, kMiB, cached), 0);
  int pages = 0;
  for (unsigned char page : cached) pages += page & 1;
  EXPECT_EQ(pages, 0);
}

TEST_F(OverflowFileTest, SpaceIsTakenBeforeUseAndGivenBack) {
  const uint64_t before = BlocksOf(source_.last_fd);
  char* start = Take(40 * kMiB);
  EXPECT_GE(BlocksOf(source_.last_fd), before + 40 * kMiB);
  EXPECT_EQ(file_.used_bytes(), 40 * kMiB);
  file_.Release(start);
  EXPECT_LT(BlocksOf(source_.last_fd), before + kMiB);
  EXPECT_EQ(file_.used_bytes(), 0u);
  EXPECT_EQ(file_.high_bytes(), 0u);
}

TEST_F(OverflowFileTest, ReusedRunsAreZeroAgain) {
  char* first = Take(kMiB);
  memset(first, 9, kMiB);
  file_.Release(first);
  char* second = Take(kMiB);
  EXPECT_EQ(second, first);
  for (size_t i = 0; i < kMiB; i += 4096) ASSERT_EQ(second[i], 0);
}

TEST_F(OverflowFileTest, RunsAreAlignedAndApart) {
  char* small = Take(kMiB);
  char* large = Take(2 * kUnit + 1);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(small) % kUnit, 0u);
  EXPECT_EQ(large, small + kUnit);
  char* next = Take(kMiB);
  EXPECT_EQ(next, large + 3 * kUnit);
  OverflowFile::Run run;
  ASSERT_TRUE(file_.RunAt(2, &run));
  EXPECT_EQ(run.start, reinterpret_cast<uintptr_t>(large));
  EXPECT_EQ(run.bytes, 2 * kUnit + 4096);
  EXPECT_TRUE(run.is_in_file);
  EXPECT_FALSE(file_.RunAt(5, &run));
}

TEST_F(OverflowFileTest, AnOffsetCanBeAligned) {
  constexpr size_t kAlignment = 4 * kUnit;
  void* start = nullptr;
  ASSERT_EQ(file_.Allocate(3 * kUnit, kAlignment, kUnit, &start), OverflowStatus::kOk);
  EXPECT_EQ((reinterpret_cast<uintptr_t>(start) + kUnit) % kAlignment, 0u);
}

TEST_F(OverflowFileTest, ARunGrowsAndShrinksWhereItIs) {
  auto* const run = Take(kMiB);
  ASSERT_NE(run, nullptr);
  memset(run, 7, kMiB);
  ASSERT_EQ(file_.Extend(run, kUnit + 3 * kMiB), OverflowStatus::kOk);
  EXPECT_EQ(file_.used_bytes(), kUnit + 3 * kMiB);
  EXPECT_EQ(run[kMiB - 1], 7);
  for (size_t at = kMiB; at < kUnit + 3 * kMiB; at += 512) ASSERT_EQ(run[at], 0);
  memset(run, 8, kUnit + 3 * kMiB);
  OverflowFile::Run found;
  ASSERT_TRUE(file_.RunAt(1, &found));
  EXPECT_EQ(found.start, reinterpret_cast<uintptr_t>(run));
  EXPECT_EQ(found.bytes, kUnit + 3 * kMiB);

  // What comes behind it is in its way.
  void* const next = Take(kMiB);
  ASSERT_EQ(next, run + 2 * kUnit);
  EXPECT_EQ(file_.Extend(run, 2 * kUnit + kMiB), OverflowStatus::kNoAddresses);
  EXPECT_EQ(file_.Extend(run, 2 * kUnit), OverflowStatus::kOk);
  file_.Release(next);
  EXPECT_EQ(file_.used_bytes(), 2 * kUnit);

  file_.Shrink(run, 2 * kMiB);
  EXPECT_EQ(file_.used_bytes(), 2 * kMiB);
  EXPECT_FALSE(file_.RunAt(1, &found));
  EXPECT_EQ(run[2 * kMiB - 1], 8);
  EXPECT_DEATH(*static_cast<volatile char*>(run + 2 * kMiB) = 1, "");
  // What it gave back is another's, and zero.
  auto* const other = Take(kMiB);
  EXPECT_EQ(other, run + kUnit);
  ASSERT_EQ(file_.Extend(run, 4 * kMiB), OverflowStatus::kOk);
  for (size_t at = 2 * kMiB; at < 4 * kMiB; at += 512) ASSERT_EQ(run[at], 0);
  file_.Release(run);
  file_.Release(other);
  EXPECT_EQ(file_.used_bytes(), 0u);
  EXPECT_EQ(file_.high_bytes(), 0u);
}

TEST_F(OverflowFileTest, AFullDiskExtendsNothing) {
  auto* const run = Take(kMiB);
  ASSERT_NE(run, nullptr);
  fallocate_error = ENOSPC;
  EXPECT_EQ(file_.Extend(run, 2 * kUnit), OverflowStatus::kNoSpace);
  fallocate_error = 0;
  EXPECT_EQ(file_.used_bytes(), kMiB);
  EXPECT_EQ(file_.high_bytes(), kUnit);
  EXPECT_EQ(file_.Extend(run, 2 * kUnit), OverflowStatus::kOk);
  file_.Release(run);
}

TEST_F(OverflowFileTest, TheLimitHolds) {
  char* most = Take(500 * kMiB);
  void* start = nullptr;
  EXPECT_EQ(file_.Allocate(13 * kMiB, kUnit, 0, &start), OverflowStatus::kOverLimit);
  file_.Release(most);
  EXPECT_EQ(file_.Allocate(13 * kMiB, kUnit, 0, &start), OverflowStatus::kOk);
}

TEST_F(OverflowFileTest, WhatMayBeSmallerTakesWhatIsLeft) {
  constexpr size_t kLeast = 128 << 10;
  void* start = nullptr;
  size_t bytes = 0;
  ASSERT_EQ(file_.AllocateBetween(kLeast, kUnit, kUnit, &start, &bytes), OverflowStatus::kOk);
  EXPECT_EQ(bytes, kUnit);
  Take(476 * kMiB);
  ASSERT_EQ(file_.AllocateBetween(kLeast, kUnit, kUnit, &start, &bytes), OverflowStatus::kOk);
  EXPECT_EQ(bytes, 4 * kMiB);
  EXPECT_EQ(file_.AllocateBetween(kLeast, kUnit, kUnit, &start, &bytes),
            OverflowStatus::kOverLimit);
  file_.Release(start);
  EXPECT_EQ(file_.AllocateBetween(5 * kMiB, kUnit, kUnit, &start, &bytes),
            OverflowStatus::kOverLimit);
  EXPECT_EQ(file_.used_bytes(), 508 * kMiB);
}

TEST_F(OverflowFileTest, WhatIsNotTakenIsNotAccessible) {
  char* start = Take(kMiB);
  EXPECT_EXIT(start[kMiB] = 1, Crashed, "");
}

TEST_F(OverflowFileTest, AFileSizeLimitIsNoSignal) {
  EXPECT_EXIT(
      {
        SetLimit(RLIMIT_FSIZE, 16 * kMiB);
        void* start = nullptr;
        const OverflowStatus refused = file_.Allocate(17 * kMiB, kUnit, 0, &start);
        const OverflowStatus taken = file_.Allocate(15 * kMiB, kUnit, 0, &start);
        _exit(refused == OverflowStatus::kFileLimit && taken == OverflowStatus::kOk ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_F(OverflowFileTest, KeepsErrno) {
  errno = 4711;
  void* start = nullptr;
  (void)file_.Allocate(uint64_t{1} << 40, kUnit, 0, &start);
  file_.Release(Take(kMiB));
  EXPECT_EQ(errno, 4711);
}

TEST_F(OverflowFileTest, AClosedDescriptorIsReplacedAndANumberTakenIsLeftAlone) {
  char* old = Take(kMiB);
  memset(old, 3, kMiB);
  const int fd = source_.last_fd;
  close(fd);
  const int other = open("/dev/null", O_WRONLY | O_CLOEXEC);
  ASSERT_EQ(dup2(other, fd), fd);
  char* young = Take(kMiB);
  ASSERT_NE(young, nullptr);
  memset(young, 4, kMiB);
  EXPECT_EQ(source_.opened, 2);
  EXPECT_TRUE(file_.WriteAndDrop(reinterpret_cast<uintptr_t>(old), kMiB));
  EXPECT_TRUE(file_.WriteAndDrop(reinterpret_cast<uintptr_t>(young), kMiB));
  EXPECT_EQ(old[kMiB - 1], 3);
  EXPECT_EQ(young[kMiB - 1], 4);
  file_.Release(old);
  file_.Release(young);
  close(fd);
  close(other);
}

class FailingFallocate {
 public:
  explicit FailingFallocate(int error) { fallocate_error = error; }
  ~FailingFallocate() { fallocate_error = 0; }
};

TEST_F(OverflowFileTest, WithoutPreallocationZeroesAreWritten) {
  const FailingFallocate unsupported(EOPNOTSUPP);
  const uint64_t before = BlocksOf(source_.last_fd);
  char* start = Take(3 * kMiB + 4096);
  ASSERT_NE(start, nullptr);
  EXPECT_GE(BlocksOf(source_.last_fd), before + 3 * kMiB + 4096);
  for (size_t i = 0; i < 3 * kMiB + 4096; i += 4096) ASSERT_EQ(start[i], 0);
  memset(start, 1, kMiB);
  file_.Release(start);
  // The space may have stayed the file's: what was written must not come back.
  start = Take(kMiB);
  for (size_t i = 0; i < kMiB; i += 4096) ASSERT_EQ(start[i], 0);
}

TEST_F(OverflowFileTest, AFullDiskTakesNothing) {
  void* start = nullptr;
  for (int error : {ENOSPC, EDQUOT}) {
    const FailingFallocate full(error);
    EXPECT_EQ(file_.Allocate(kMiB, kUnit, 0, &start), OverflowStatus::kNoSpace);
  }
  {
    const FailingFallocate broken(EIO);
    EXPECT_EQ(file_.Allocate(kMiB, kUnit, 0, &start), OverflowStatus::kFailed);
  }
  EXPECT_EQ(file_.used_bytes(), 0u);
  EXPECT_EQ(file_.high_bytes(), 0u);
  EXPECT_NE(Take(kMiB), nullptr);
}

// What forks: the child says by its exit status what it saw.
template <typename Child, typename Parent>
void ForkWith(OverflowFile& file, OverflowFileSource& source, Child child, Parent parent) {
  int ready[2];
  int go[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(go), 0);
  const bool any = file.BeforeFork();
  const pid_t pid = fork();
  char byte = 0;
  if (pid == 0) {
    const bool restored = !any || file.RestoreInChild(source);
    if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1) _exit(9);
    _exit(restored ? child() : 8);
  }
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  file.AfterForkInParent();
  parent();
  ASSERT_EQ(write(go[1], &byte, 1), 1);
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  for (int fd : {ready[0], ready[1], go[0], go[1]}) close(fd);
}

TEST_F(OverflowFileTest, AForkedChildHasACopy) {
  char* start = Take(40 * kMiB);
  memset(start, 1, kMiB);
  start[40 * kMiB - 1] = 2;
  OverflowFile::Unmap(reinterpret_cast<uintptr_t>(start), kMiB);
  ASSERT_TRUE(file_.WriteAndDrop(reinterpret_cast<uintptr_t>(start), kMiB));
  ForkWith(
      file_, source_,
      [&] {
        if (start[5] != 1 || start[40 * kMiB - 1] != 2 || start[2 * kMiB] != 0) return 1;
        start[5] = 6;
        start[2 * kMiB] = 6;
        void* more = nullptr;
        if (file_.Allocate(kMiB, kUnit, 0, &more) != OverflowStatus::kOk) return 2;
        file_.Release(start);
        return 0;
      },
      [&] { start[5] = 7; });
  EXPECT_EQ(start[5], 7);
  EXPECT_EQ(start[2 * kMiB], 0);
}

TEST_F(OverflowFileTest, AChildWithoutDiskHasItInMemory) {
  char* start = Take(8 * kMiB);
  memset(start, 1, kMiB);
  source_.fails = true;
  ForkWith(
      file_, source_,
      [&] {
        OverflowFile::Run run;
        if (!file_.RunAt(0, &run) || run.is_in_file) return 1;
        if (start[kMiB - 1] != 1 || start[kMiB] != 0) return 2;
        start[0] = 6;
        // Private memory is inherited by a grandchild as any other.
        const bool any = file_.BeforeFork();
        file_.AfterForkInParent();
        return any ? 3 : 0;
      },
      [&] { start[0] = 7; });
  EXPECT_EQ(start[0], 7);
}

TEST_F(OverflowFileTest, AChildOfAProcessThatClosedTheDescriptorHasACopy) {
  char* start = Take(2 * kMiB);
  memset(start, 1, kMiB);
  close(source_.last_fd);
  ForkWith(
      file_, source_,
      [&] {
        if (start[0] != 1 || start[kMiB] != 0) return 1;
        start[0] = 6;
        return 0;
      },
      [&] { start[0] = 7; });
  EXPECT_EQ(start[0], 7);
}

TEST_F(OverflowFileTest, WithoutHandlersAChildHasNothing) {
  char* start = Take(kMiB);
  EXPECT_EXIT(start[0] = 1, Crashed, "");
}

TEST(OverflowFileOpenTest, MemoryIsNoDisk) {
  TestSource source("/dev/shm");
  OverflowFile file;
  EXPECT_EQ(file.Open(source, kMiB), OverflowStatus::kInMemory);
  EXPECT_FALSE(file.is_open());
  EXPECT_EQ(fcntl(source.last_fd, F_GETFD), -1) << "left open";
}

TEST(OverflowFileOpenTest, NoFileNoOverflow) {
  TestSource source("/nonexistent");
  OverflowFile file;
  EXPECT_EQ(file.Open(source, kMiB), OverflowStatus::kNoFile);
  void* start = nullptr;
  EXPECT_EQ(file.Allocate(kMiB, kUnit, 0, &start), OverflowStatus::kNoFile);
}

TEST(OverflowFileOpenTest, HalfOfWhatIsFreeByDefault) {
  TestSource source(OnDisk());
  OverflowFile file;
  ASSERT_EQ(file.Open(source, 0), OverflowStatus::kOk);
  EXPECT_GT(file.limit_bytes(), 0u);
  EXPECT_NE(file.limit_bytes(), OverflowFile::kNoLimit);
}

TEST(OverflowFileOpenTest, FewAddressesAreEnough) {
  EXPECT_EXIT(
      {
        // The tests before have ranges of their own.
        SetLimit(RLIMIT_AS, (uint64_t{1} << 30) + AddressesUsed());
        TestSource source(OnDisk());
        OverflowFile file;
        const OverflowStatus opened = file.Open(source, uint64_t{1} << 40);
        void* start = nullptr;
        const OverflowStatus taken = file.Allocate(kMiB, kUnit, 0, &start);
        const OverflowStatus refused = file.Allocate(uint64_t{1} << 30, kUnit, 0, &start);
        _exit(opened != OverflowStatus::kOk             ? 1
              : taken != OverflowStatus::kOk            ? 2
              : refused != OverflowStatus::kNoAddresses ? 3
                                                        : 0);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace taskmem
