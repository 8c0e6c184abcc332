// A disk store that many threads use, and that is killed while they do.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "spill/disk/block_file.h"
#include "spill/disk/checksum.h"
#include "spill/disk/disk_store_testing.h"

namespace taskmem {
namespace {

class DiskStoreThreadsTest : public DiskStoreTest {};

// A block tells what it has to be: 8 bytes of seed, then bytes that follow from it.
std::string SeededBlock(uint64_t seed, size_t size) {
  std::string data = RandomBytes(seed, size);
  memcpy(data.data(), &seed, sizeof(seed));
  return data;
}

bool IsWhole(const std::string& data) {
  uint64_t seed;
  if (data.size() < sizeof(seed)) return false;
  memcpy(&seed, data.data(), sizeof(seed));
  return data == SeededBlock(seed, data.size());
}

TEST_F(DiskStoreThreadsTest, ThreadsShareBlocks) {
  constexpr uint64_t kSeed = 20240;
  constexpr size_t kSize = 20000;
  SCOPED_TRACE(kSeed);
  for (const bool compressed : {false, HasLz4()}) {
    DiskStore store(dir_, Options(compressed), ops_);
    std::atomic<int> found{0};
    std::atomic<int> broken{0};
    std::atomic<int> failed{0};
    std::vector<std::thread> threads;
    for (uint64_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(kSeed + t);
        std::string read(kSize, '\0');
        for (int i = 0; i < 400; ++i) {
          // Few ids, so that threads meet.
          const std::string id = "rdd_1_" + std::to_string(random() % 5);
          switch (random() % 8) {
            case 0:
            case 1:
            case 2:
              if (Put(store, id, SeededBlock(random(), kSize))) ++failed;
              break;
            case 3: store.Remove(id); break;
            case 4:
              if (random() % 20 == 0) store.Clear();
              break;
            default: {
              const DiskError error = store.Get(id, read.data(), kSize);
              if (!error) {
                ++found;
                if (!IsWhole(read)) ++broken;
              } else if (error.code != DiskErrorCode::kNotFound) {
                ++failed;
              }
            }
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_GT(found, 0);
    EXPECT_EQ(broken, 0);
    EXPECT_EQ(failed, 0);
    const DiskStoreStats stats = store.Stats();
    EXPECT_EQ(stats.blocks_now, Files().size());
    EXPECT_EQ(stats.bytes_now, stats.blocks_now * kSize);
    EXPECT_EQ(stats.bytes_being_written_now, 0u);
    EXPECT_EQ(stats.bytes_being_read_now, 0u);
    EXPECT_EQ(stats.blocks_lost, 0u);
    store.Clear();
    EXPECT_TRUE(Files().empty());
    EXPECT_EQ(store.Stats().disk_bytes_now, 0u);
  }
  EXPECT_EQ(memory_.live, 0);
}

TEST_F(DiskStoreThreadsTest, ThreadsOutliveAVanishedDirectory) {
  DiskStore store(dir_, Options(), ops_);
  std::atomic<bool> is_over{false};
  std::atomic<int> broken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      std::string read(5000, '\0');
      const std::string id = std::to_string(t);
      for (uint64_t i = 0; !is_over; ++i) {
        (void)Put(store, id, SeededBlock(i, read.size()));
        if (!store.Get(id, read.data(), static_cast<int64_t>(read.size())) && !IsWhole(read)) {
          ++broken;
        }
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    while (Files().empty()) std::this_thread::yield();
    std::error_code ignored;
    std::filesystem::remove_all(Home(), ignored);
  }
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(broken, 0);
  ASSERT_FALSE(Put(store, "last", "data"));
  ExpectBlock(store, "last", "data");
}

// One that is at the end of its process while others still put.
TEST_F(DiskStoreThreadsTest, TheEndOfTheProcessAmidPuts) {
  for (int round = 0; round < 20; ++round) {
    SpillDir dir;
    ASSERT_FALSE(dir.Open(test_.path()));
    DiskStore store(dir, Options());
    std::atomic<int> puts{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&, t] {
        const std::string data = RandomBytes(1, 3000);
        for (int i = 0; !Put(store, std::to_string(t) + "_" + std::to_string(i), data); ++i) {
          ++puts;
        }
      });
    }
    while (puts < 10) std::this_thread::yield();
    dir.Remove();
    for (std::thread& thread : threads) thread.join();
    // What came too late for it is removed by the next start.
    SpillDir next;
    ASSERT_FALSE(next.Open(test_.path()));
    EXPECT_TRUE(NamesIn(test_.path()).empty());
  }
}

// Puts blocks until it is killed. The name of a block has all that the parent needs to check it.
[[noreturn]] void PutForEver(const std::string& path, uint64_t seed, bool compressed,
                             int tell_started) {
  SpillDir dir;
  char why[200];
  DiskStore::Options options;
  if (compressed) options.codec = OpenLz4(why, sizeof(why));
  if (dir.Open(path)) _exit(1);
  DiskStore store(dir, options);
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(seed + t);
      for (uint64_t i = 0;; ++i) {
        const size_t size = 8 + random() % 300000;
        const std::string id = std::to_string(t) + "_" + std::to_string(i % 20);
        const std::string data = SeededBlock(random(), size);
        if (store.Put(id, data.data(), static_cast<int64_t>(size))) _exit(2);
        if (i == 0 && write(tell_started, "x", 1) != 1) _exit(3);
        std::string read(size, '\0');
        if (random() % 4 == 0 && store.Get(id, read.data(), static_cast<int64_t>(size))) _exit(4);
        if (random() % 8 == 0) store.Remove(id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  _exit(5);
}

// The id and length of the data of a file, from its footer.
bool ReadFooter(const std::string& file, std::string* id, int64_t* size, uint32_t* codec) {
  constexpr size_t kFooterBytes = 40;
  if (file.size() < kFooterBytes) return false;
  const char* const footer = file.data() + file.size() - kFooterBytes;
  uint64_t id_bytes;
  memcpy(codec, footer + 12, 4);
  memcpy(&id_bytes, footer + 16, 8);
  memcpy(size, footer + 24, 8);
  if (id_bytes > file.size() - kFooterBytes) return false;
  *id = std::string(footer - id_bytes, id_bytes);
  return true;
}

// Every file with the name of a block is a whole block.
void CheckFiles(const std::string& home, int* blocks) {
  char why[200];
  for (const std::string& name : NamesIn(home)) {
    if (name == "lock" || name.ends_with(".new")) continue;
    ++*blocks;
    std::ostringstream text;
    text << std::ifstream(home + "/" + name, std::ios::binary).rdbuf();
    const std::string file = text.str();
    std::string id;
    int64_t size;
    uint32_t codec_number;
    ASSERT_TRUE(ReadFooter(file, &id, &size, &codec_number)) << name;
    BlockFileCodec codec;
    std::vector<char> scratch;
    if (codec_number != 0) {
      codec.codec = OpenLz4(why, sizeof(why));
      scratch.resize(BlockFileCodec::ScratchBytes(*codec.codec));
      codec.scratch = scratch.data();
    }
    const int fd = open((home + "/" + name).c_str(), O_RDONLY | O_CLOEXEC);
    std::string read(static_cast<size_t>(size), '\0');
    const DiskError error = ReadBlockFile(SystemFileOps(), fd, id, read.data(), size,
                                          static_cast<int64_t>(file.size()), codec);
    close(fd);
    EXPECT_FALSE(error) << name << ": " << TextOf(error);
    EXPECT_TRUE(IsWhole(read)) << name;
  }
}

TEST(DiskStoreKillTest, AKilledProcessLeavesNothingTornAndNothingForLong) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  printf("seed %llu\n", static_cast<unsigned long long>(seed));
  const TestDirectory test;
  std::mt19937_64 random(seed);
  char why[200];
  const bool has_lz4 = OpenLz4(why, sizeof(why)) != nullptr;
  int blocks = 0;
  for (int round = 0; round < 40; ++round) {
    int pipes[2];
    ASSERT_EQ(pipe2(pipes, O_CLOEXEC), 0);
    const pid_t child = fork();
    if (child == 0) {
      PutForEver(test.path(), seed + static_cast<uint64_t>(round), has_lz4 && round % 2 == 1,
                 pipes[1]);
    }
    close(pipes[1]);
    char byte;
    ASSERT_EQ(read(pipes[0], &byte, 1), 1);
    close(pipes[0]);
    usleep(static_cast<useconds_t>(random() % 20000));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_EQ(status, SIGKILL) << WEXITSTATUS(status);

    for (const std::string& name : NamesIn(test.path())) CheckFiles(test / name, &blocks);
    SpillDir next;
    ASSERT_FALSE(next.Open(test.path()));
    ASSERT_TRUE(NamesIn(test.path()).empty());
  }
  EXPECT_GT(blocks, 40);
}

}  // namespace
}  // namespace taskmem
