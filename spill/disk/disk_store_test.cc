#include "spill/disk/disk_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "spill/disk/disk_store_testing.h"

namespace taskmem {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

TEST_F(DiskStoreTest, BlocksComeBackAsTheyWere) {
  DiskStore store(dir_, Options(), ops_);
  EXPECT_TRUE(NamesIn(test_.path()).empty()) << "before the first put";
  const std::vector<size_t> sizes = {0,       1,       4095,    4096,     4097,         (256 << 10),
                                     1000000, 1 << 20, 5 << 20, 64 << 10, (5 << 20) + 1};
  for (size_t i = 0; i < sizes.size(); ++i) {
    const std::string id = "rdd_1_" + std::to_string(i);
    ASSERT_FALSE(Put(store, id, RandomBytes(i, sizes[i])));
    EXPECT_GT(store.DiskBytes(id), static_cast<int64_t>(sizes[i]));
    EXPECT_LT(store.DiskBytes(id), static_cast<int64_t>(sizes[i]) + 200);
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    ExpectBlock(store, "rdd_1_" + std::to_string(i), RandomBytes(i, sizes[i]));
  }
  EXPECT_EQ(Files().size(), sizes.size());
  uint64_t file_bytes = 0;
  for (const std::string& path : Files()) file_bytes += std::filesystem::file_size(path);
  EXPECT_EQ(store.Stats().disk_bytes_now, file_bytes);
}

TEST_F(DiskStoreTest, FilesAreOnlyTheUsers) {
  DiskStore store(dir_, Options(), ops_);
  for (const mode_t mask : {mode_t{0}, mode_t{0777}}) {
    const mode_t former = umask(mask);
    EXPECT_FALSE(Put(store, "block" + std::to_string(mask), "data"));
    umask(former);
  }
  ASSERT_EQ(Files().size(), 2u);
  for (const std::string& path : Files()) {
    struct stat status;
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600u);
  }
}

TEST_F(DiskStoreTest, ABlockMayLieInPieces) {
  const std::string data = RandomBytes(1, 3 * kMiB);
  for (const bool compressed : {false, HasLz4()}) {
    DiskStore store(dir_, Options(compressed), ops_);
    std::mt19937_64 random(7);
    for (int round = 0; round < 20; ++round) {
      std::vector<ByteSpan> spans;
      const auto size = static_cast<int64_t>(random() % data.size());
      for (int64_t at = 0; at < size;) {
        // Many small ones, some that are large, and none.
        const int64_t most = random() % 8 == 0 ? kMiB : 5000;
        const int64_t count = std::min<int64_t>(size - at, random() % most);
        spans.push_back({data.data() + at, count});
        at += count;
      }
      ByteSpans bytes(spans.data(), spans.size());
      ASSERT_FALSE(store.Put("block", size, bytes));
      ExpectBlock(store, "block", data.substr(0, static_cast<size_t>(size)));
    }
    store.Clear();
  }
}

TEST_F(DiskStoreTest, BytesOfAnotherSizeAreRefused) {
  for (const bool compressed : {false, HasLz4()}) {
    DiskStore store(dir_, Options(compressed), ops_);
    ASSERT_FALSE(Put(store, "block", "former"));
    const std::string data(1000, 'x');
    for (const int64_t size : {0, 999, 1001, 2000}) {
      const ByteSpan spans[] = {{data.data(), 500}, {data.data(), 500}};
      ByteSpans bytes(spans, 2);
      EXPECT_EQ(store.Put("block", size, bytes).code, DiskErrorCode::kInvalidArgument) << size;
    }
    EXPECT_EQ(Files().size(), 1u);
    ExpectBlock(store, "block", "former");
    EXPECT_EQ(store.Stats().bytes_being_written_now, 0u);
    EXPECT_EQ(store.Put("block", nullptr, -1).code, DiskErrorCode::kInvalidArgument);
    store.Clear();
  }
}

TEST_F(DiskStoreTest, AnyNameIsAnId) {
  DiskStore store(dir_, Options(), ops_);
  std::vector<std::string> ids = {"a",
                                  "A",
                                  ".",
                                  "..",
                                  "/",
                                  "../../etc/passwd",
                                  "/dev/null",
                                  "lock",
                                  "a/b",
                                  "a\\b",
                                  "a\nb",
                                  std::string("a\0b", 3),
                                  std::string("\0", 1),
                                  "\xff\xfe",
                                  "bl\xc3\xb6"
                                  "ck",
                                  "a ",
                                  " a",
                                  "*",
                                  "%s%n",
                                  "block-0123456789abcdef-1",
                                  std::string(255, 'x'),
                                  std::string(256, 'x'),
                                  std::string(DiskStore::kMaxIdBytes, 'x'),
                                  std::string(DiskStore::kMaxIdBytes - 1, '/') + "y"};
  for (size_t i = 0; i < ids.size(); ++i) {
    ASSERT_FALSE(Put(store, ids[i], RandomBytes(i, 100 + i))) << i;
  }
  EXPECT_EQ(Files().size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    ExpectBlock(store, ids[i], RandomBytes(i, 100 + i));
  }
  for (const std::string& id : ids) EXPECT_TRUE(store.Remove(id));
  EXPECT_TRUE(Files().empty());
  EXPECT_EQ(NamesIn(test_.path()).size(), 1u);
  EXPECT_EQ(Put(store, "", "x").code, DiskErrorCode::kInvalidArgument);
  EXPECT_EQ(Put(store, std::string(DiskStore::kMaxIdBytes + 1, 'x'), "x").code,
            DiskErrorCode::kInvalidArgument);
}

TEST_F(DiskStoreTest, APutTakesThePlaceOfAnother) {
  DiskStore store(dir_, Options(), ops_);
  for (int i = 0; i < 5; ++i) {
    ASSERT_FALSE(Put(store, "block", RandomBytes(static_cast<uint64_t>(i), 1000)));
    EXPECT_EQ(Files().size(), 1u);
  }
  ExpectBlock(store, "block", RandomBytes(4, 1000));
  EXPECT_EQ(store.Stats().blocks_now, 1u);
  EXPECT_EQ(store.Stats().bytes_now, 1000u);
}

TEST_F(DiskStoreTest, GetRefusesAnotherSize) {
  DiskStore store(dir_, Options(), ops_);
  ASSERT_FALSE(Put(store, "block", "12345"));
  char memory[10] = "untouched";
  for (const int64_t size : {0, 4, 6}) {
    EXPECT_EQ(store.Get("block", memory, size).code, DiskErrorCode::kWrongSize);
  }
  EXPECT_EQ(store.Get("other", memory, 5).code, DiskErrorCode::kNotFound);
  EXPECT_STREQ(memory, "untouched");
}

TEST_F(DiskStoreTest, RemoveAndClear) {
  DiskStore store(dir_, Options(), ops_);
  EXPECT_FALSE(store.Remove("rdd_1_0"));
  for (int i = 0; i < 100; ++i) {
    ASSERT_FALSE(Put(store, "rdd_1_" + std::to_string(i), std::string(10, 'x')));
  }
  EXPECT_TRUE(store.Contains("rdd_1_50"));
  EXPECT_TRUE(store.Remove("rdd_1_50"));
  EXPECT_FALSE(store.Contains("rdd_1_50"));
  EXPECT_EQ(store.Size("rdd_1_50"), -1);
  EXPECT_EQ(store.DiskBytes("rdd_1_50"), -1);
  EXPECT_FALSE(store.Remove("rdd_1_50"));
  EXPECT_EQ(Files().size(), 99u);
  store.Clear();
  EXPECT_TRUE(Files().empty());
  const DiskStoreStats stats = store.Stats();
  EXPECT_EQ(stats.blocks_now, 0u);
  EXPECT_EQ(stats.bytes_now, 0u);
  EXPECT_EQ(stats.disk_bytes_now, 0u);
  EXPECT_EQ(stats.blocks_written, 100u);
  EXPECT_EQ(stats.bytes_written, 1000u);
  ASSERT_FALSE(Put(store, "again", "x"));
  ExpectBlock(store, "again", "x");
}

TEST_F(DiskStoreTest, MemoryIsGivenBack) {
  for (const bool compressed : {false, HasLz4()}) {
    DiskStore store(dir_, Options(compressed), ops_);
    for (int i = 0; i < 300; ++i) {
      ASSERT_FALSE(Put(store, "block" + std::to_string(i % 200), std::string(10000, 'x')));
    }
    store.Remove("block1");
  }
  EXPECT_EQ(memory_.live, 0);
  EXPECT_LE(memory_.largest, size_t{kMiB});
}

TEST_F(DiskStoreTest, WithoutMemoryAPutFailsAlone) {
  DiskStore store(dir_, Options(HasLz4()), ops_);
  ASSERT_FALSE(Put(store, "block", "data"));
  memory_.is_exhausted = true;
  const DiskError error = Put(store, "other", "data");
  EXPECT_EQ(error.code, DiskErrorCode::kNoMemory);
  EXPECT_EQ(TextOf(error), "cannot note the block: there is no memory");
  memory_.is_exhausted = false;
  ExpectBlock(store, "block", "data");
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(DiskStoreTest, WhatCanBeCompressedIs) {
  if (!HasLz4()) GTEST_SKIP() << "liblz4.so.1 is not installed";
  DiskStore store(dir_, Options(/*compressed=*/true), ops_);
  const std::string plain(3 * kMiB + 17, 'x');
  const std::string random = RandomBytes(1, 3 * kMiB + 17);
  // A compressible frame among others that are not.
  std::string mixed = random;
  std::fill(mixed.begin() + (300 << 10), mixed.begin() + (900 << 10), 'y');
  ASSERT_FALSE(Put(store, "plain", plain));
  ASSERT_FALSE(Put(store, "random", random));
  ASSERT_FALSE(Put(store, "mixed", mixed));
  ASSERT_FALSE(Put(store, "empty", ""));
  EXPECT_LT(store.DiskBytes("plain"), kMiB / 10);
  EXPECT_LT(store.DiskBytes("random"), static_cast<int64_t>(random.size()) + 200);
  EXPECT_LT(store.DiskBytes("mixed"), static_cast<int64_t>(mixed.size()) - (200 << 10));
  ExpectBlock(store, "plain", plain);
  ExpectBlock(store, "random", random);
  ExpectBlock(store, "mixed", mixed);
  ExpectBlock(store, "empty", "");
  EXPECT_EQ(store.Stats().bytes_now, plain.size() + random.size() + mixed.size());
  EXPECT_LT(store.Stats().disk_bytes_now, store.Stats().bytes_now);
  EXPECT_LE(memory_.largest, size_t{kMiB});
}

// Every byte of a small file is changed in turn, and the file is cut at every length.
TEST_F(DiskStoreTest, NoChangeOfAFileGoesUnnoticed) {
  for (const bool compressed : {false, HasLz4()}) {
    DiskStore store(dir_, Options(compressed), ops_);
    const std::string data = std::string(100, 'x') + RandomBytes(1, 100);
    ASSERT_FALSE(Put(store, "block", data));
    ASSERT_EQ(Files().size(), 1u);
    const std::string path = Files()[0];
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    std::string file(std::filesystem::file_size(path), '\0');
    ASSERT_EQ(pread(fd, file.data(), file.size(), 0), static_cast<ssize_t>(file.size()));
    for (size_t at = 0; at < file.size(); ++at) {
      for (const int flip : {1, 0x80, 0xff}) {
        const char changed = static_cast<char>(file[at] ^ flip);
        ASSERT_EQ(pwrite(fd, &changed, 1, static_cast<off_t>(at)), 1);
        // There is more than one way to compress the same.
        ExpectLost(store, "block", compressed ? &data : nullptr);
      }
      ASSERT_EQ(pwrite(fd, &file[at], 1, static_cast<off_t>(at)), 1);
    }
    ExpectBlock(store, "block", data);
    for (size_t length = file.size(); length-- > 0;) {
      ASSERT_EQ(ftruncate(fd, static_cast<off_t>(length)), 0);
      ExpectLost(store, "block");
    }
    // As long as it was, as after a crash of the system.
    ASSERT_EQ(ftruncate(fd, static_cast<off_t>(file.size())), 0);
    ExpectLost(store, "block");
    EXPECT_GT(store.Stats().blocks_lost, file.size());
    close(fd);
    store.Clear();
  }
}

TEST_F(DiskStoreTest, ForeignAndVanishedFilesAreLostBlocks) {
  DiskStore store(dir_, Options(), ops_);
  ASSERT_FALSE(Put(store, "one", "11111"));
  const std::string one = Files()[0];
  ASSERT_FALSE(Put(store, "two", "22222"));
  const std::string two = Files()[Files()[0] == one ? 1 : 0];
  // Whole, of the same length, but of another block.
  std::filesystem::copy_file(two, one, std::filesystem::copy_options::overwrite_existing);
  ExpectLost(store, "one");
  ExpectBlock(store, "two", "22222");

  std::filesystem::remove(one);
  ExpectLost(store, "one");
  std::filesystem::create_symlink(two, one);
  ExpectLost(store, "one");
  std::filesystem::remove(one);
  std::filesystem::create_directory(one);
  ExpectLost(store, "one");
  std::filesystem::remove(one);
  ASSERT_EQ(mkfifo(one.c_str(), 0600), 0);
  ExpectLost(store, "one");
  // A put heals it.
  ASSERT_FALSE(Put(store, "one", "again"));
  ExpectBlock(store, "one", "again");
}

TEST_F(DiskStoreTest, AVanishedDirectoryLosesBlocksAndIsMadeAgain) {
  DiskStore store(dir_, Options(), ops_);
  ASSERT_FALSE(Put(store, "former", "data"));
  std::filesystem::remove_all(Home());
  ExpectLost(store, "former");
  ASSERT_FALSE(Put(store, "block", "data"));
  ExpectBlock(store, "block", "data");
  ExpectLost(store, "former");
  EXPECT_TRUE(store.Remove("former"));
  EXPECT_FALSE(store.Contains("former"));
  EXPECT_EQ(Files().size(), 1u);
}

TEST_F(DiskStoreTest, AChildsStoreIsEmptyAndItsOwn) {
  DiskStore store(dir_, Options(), ops_);
  ASSERT_FALSE(Put(store, "block", "parent"));
  ForkLocks locks;
  store.AddLocks(&locks);
  dir_.AddLocks(&locks);
  locks.LockAll(kNoDeadline);
  const pid_t child = fork();
  if (child == 0) {
    dir_.ResetInChild();
    store.ResetInChild();
    if (store.Contains("block") || store.Stats().blocks_now != 0) _exit(1);
    if (Put(store, "block", "child!")) _exit(2);
    char read[6];
    if (store.Get("block", read, 6) || memcmp(read, "child!", 6) != 0) _exit(3);
    store.Clear();
    if (Put(store, "left", "over")) _exit(4);
    _exit(0);
  }
  locks.UnlockAll();
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << WEXITSTATUS(status);
  ExpectBlock(store, "block", "parent");
  // The child did not end as it should: the next start removes what it left.
  EXPECT_EQ(NamesIn(test_.path()).size(), 2u);
  SpillDir next;
  ASSERT_FALSE(next.Open(test_.path()));
  EXPECT_EQ(NamesIn(test_.path()).size(), 1u);
  ExpectBlock(store, "block", "parent");
}

TEST_F(DiskStoreTest, AtTheEndOfTheProcessAllIsRemoved) {
  DiskStore store(dir_, Options(), ops_);
  for (int i = 0; i < 10; ++i) ASSERT_FALSE(Put(store, std::to_string(i), "data"));
  dir_.Remove();
  EXPECT_TRUE(NamesIn(test_.path()).empty());
  EXPECT_EQ(Put(store, "late", "data").code, DiskErrorCode::kClosed);
  EXPECT_TRUE(NamesIn(test_.path()).empty());
}

}  // namespace
}  // namespace taskmem
