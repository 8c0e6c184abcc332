// A disk store in a directory of the test's own.
#ifndef TASKMEM_SPILL_DISK_DISK_STORE_TESTING_H_
#define TASKMEM_SPILL_DISK_DISK_STORE_TESTING_H_

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "spill/disk/disk_store.h"
#include "spill/files/failing_file_ops.h"
#include "spill/files/spill_dir.h"
#include "spill/files/spill_testing.h"

namespace taskmem {

// malloc, with what is taken and not given back, and what was taken at most.
struct CountedMemory {
  MemorySource source() {
    return {[](size_t bytes, void* context) -> void* {
              auto& self = *static_cast<CountedMemory*>(context);
              if (self.is_exhausted) return nullptr;
              self.largest = std::max(self.largest.load(), bytes);
              ++self.live;
              return malloc(bytes);
            },
            [](void* address, void* context) {
              --static_cast<CountedMemory*>(context)->live;
              free(address);
            },
            this};
  }

  std::atomic<int> live{0};
  std::atomic<size_t> largest{0};
  std::atomic<bool> is_exhausted{false};
};

class DiskStoreTest : public testing::Test {
 protected:
  DiskStoreTest() { EXPECT_FALSE(dir_.Open(test_.path(), nullptr, ops_)); }
  ~DiskStoreTest() override { dir_.Remove(); }

  DiskStore::Options Options(bool compressed = false, bool sync = false) {
    DiskStore::Options options;
    options.source = memory_.source();
    options.sync = sync;
    char why[200];
    if (compressed) options.codec = OpenLz4(why, sizeof(why));
    return options;
  }

  static bool HasLz4() {
    char why[200];
    return OpenLz4(why, sizeof(why)) != nullptr;
  }

  static DiskError Put(DiskStore& store, std::string_view id, const std::string& data) {
    return store.Put(id, data.data(), static_cast<int64_t>(data.size()));
  }

  // The block has exactly this.
  static void ExpectBlock(DiskStore& store, std::string_view id, const std::string& data) {
    ASSERT_EQ(store.Size(id), static_cast<int64_t>(data.size()));
    std::string read(data.size(), '?');
    const DiskError error = store.Get(id, read.data(), static_cast<int64_t>(read.size()));
    EXPECT_FALSE(error) << TextOf(error);
    EXPECT_TRUE(read == data);
  }

  // It is on the books, but lost; none of its data is returned. Where it is not lost, it may be
  // all of `data`.
  static void ExpectLost(DiskStore& store, std::string_view id, const std::string* data = nullptr) {
    const int64_t size = store.Size(id);
    ASSERT_GE(size, 0);
    std::string read(static_cast<size_t>(size), '?');
    const DiskError error = store.Get(id, read.data(), size);
    if (!error && data != nullptr && read == *data) return;
    EXPECT_EQ(error.code, DiskErrorCode::kLost) << TextOf(error);
    EXPECT_TRUE(read == std::string(read.size(), '\0') || read == std::string(read.size(), '?'));
  }

  // The directory of the process; "" where there is none.
  std::string Home() const {
    const std::vector<std::string> names = NamesIn(test_.path());
    return names.empty() ? "" : test_ / names[0];
  }

  // The files in it, without its lock.
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const std::string& name : NamesIn(Home())) {
      if (name != "lock") files.push_back(Home() + "/" + name);
    }
    return files;
  }

  TestDirectory test_;
  FailingFileOps ops_;
  CountedMemory memory_;
  SpillDir dir_;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_DISK_DISK_STORE_TESTING_H_
