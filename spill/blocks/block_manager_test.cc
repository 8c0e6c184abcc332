#include "spill/blocks/block_manager.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "spill/memory/store_testing.h"

namespace taskmem {
namespace {

using Lines = std::vector<std::string>;

// The disk's calls, of which a test can make some fail.
class TestDisk final : public FileOps {
 public:
  ssize_t Write(int fd, const iovec* pieces, int count) override {
    if (on_write) on_write();
    return write_error != 0 ? -write_error.load() : FileOps::Write(fd, pieces, count);
  }
  ssize_t Read(int fd, void* memory, size_t bytes) override {
    return read_error != 0 ? -read_error.load() : FileOps::Read(fd, memory, bytes);
  }
  int OpenAt(int directory, const char* path, int flags, mode_t mode) override {
    if (open_error != 0 && (flags & O_CREAT) == 0 && strncmp(path, "block", 5) == 0) {
      return -open_error;
    }
    return FileOps::OpenAt(directory, path, flags, mode);
  }

  std::atomic<int> write_error{0};
  std::atomic<int> read_error{0};
  std::atomic<int> open_error{0};
  std::function<void()> on_write;
};

struct Watcher final : BlockObserver {
  void BlockEvicted(const BlockId& id, int64_t bytes) override { Note("evicted", id, bytes); }
  void BlockWritten(const BlockId& id, int64_t bytes) override { Note("written", id, bytes); }
  void BlockRead(const BlockId& id, int64_t bytes) override { Note("read", id, bytes); }
  void DropFailed(const BlockId& id, const StoreError&) override { Note("failed", id, 0); }
  void BlockLost(const BlockId& id, const StoreError&) override { Note("lost", id, 0); }

  void Note(const char* what, const BlockId& id, int64_t bytes) {
    const std::lock_guard lock(mutex);
    notes.push_back(std::string(what) + ' ' + id.c_str() + ' ' + std::to_string(bytes));
  }
  Lines Take() {
    const std::lock_guard lock(mutex);
    return std::exchange(notes, {});
  }

  std::mutex mutex;
  Lines notes;
};

// `size` bytes that belong to the name.
std::string BytesOf(std::string_view name, int64_t size) {
  std::string bytes;
  while (static_cast<int64_t>(bytes.size()) < size) bytes.append(name).push_back('.');
  bytes.resize(static_cast<size_t>(size));
  return bytes;
}

class NamedSupplier final : public BytesSupplier {
 public:
  explicit NamedSupplier(std::string bytes) : bytes_(std::move(bytes)) {}
  StoreResult<ChunkedBytes> Supply() override {
    ++calls;
    if (fails) return StoreError(StoreErrorCode::kSupplierFailed, "no bytes");
    ChunkedBytes supplied(SystemMemory(), 64);
    EXPECT_TRUE(supplied.Write(bytes_.data(), static_cast<int64_t>(bytes_.size())));
    return supplied;
  }
  int calls = 0;
  bool fails = false;

 private:
  const std::string bytes_;
};

// Values are texts; counts what has been closed.
class TextCloser final : public ValueCloser {
 public:
  bool Close(void* value) override {
    const std::unique_ptr<std::string> text(static_cast<std::string*>(value));
    ++closed[*text];
    return true;
  }
  bool CanSerialize() const override { return can_serialize; }
  bool Serialize(void* const* values, int64_t count, ByteSink& sink) override {
    if (fails) return false;
    for (int64_t i = 0; i < count; ++i) {
      const auto& text = *static_cast<std::string*>(values[i]);
      if (!sink.Write(text.data(), static_cast<int64_t>(text.size()))) return false;
    }
    return true;
  }

  bool can_serialize = true;
  bool fails = false;
  std::map<std::string, int> closed;
};

// 1000 bytes of memory, all of it for blocks, and a disk.
class BlockManagerTest : public ::testing::Test {
 protected:
  static constexpr int64_t kNobody = BlockInfoManager::kNonTaskWriter;

  explicit BlockManagerTest(bool has_disk = true) {
    char path[] = "/tmp/block_manager_test.XXXXXX";
    EXPECT_NE(mkdtemp(path), nullptr);
    path_ = path;
    EXPECT_EQ(dir_.Open(path_, &log_, ops_).code, DiskErrorCode::kNone);
    disk_.emplace(dir_, DiskStore::Options(), ops_);
    BlockManager::Options options;
    options.memory.unroll_threshold_bytes = 100;
    options.memory.source = memory_.Source();
    options.memory.data_source = data_.Source();
    options.disk = has_disk ? &*disk_ : nullptr;
    options.observer = &watcher_;
    blocks_.emplace(manager_, options);
    manager_.SetMemoryStore(&blocks_->memory());
    log_.Take();
  }
  ~BlockManagerTest() override {
    blocks_->Clear();
    EXPECT_EQ(manager_.StorageMemoryUsed(), 0);
    EXPECT_EQ(blocks_->BytesInFlight(), 0);
    EXPECT_EQ(disk_->Stats().blocks_now, 0u);
    EXPECT_EQ(blocks_->infos().WaitingThreads(), 0);
    blocks_.reset();
    disk_.reset();
    EXPECT_EQ(memory_.live(), 0);
    EXPECT_EQ(data_.live(), 0);
    dir_.Remove();
    std::filesystem::remove_all(path_);
  }

  static MemoryManagerOptions ManagerOptions(MemoryLog* log) {
    MemoryManagerOptions options;
    options.max_heap_bytes = 1000;
    options.on_heap_storage_region_bytes = 900;
    options.log = log;
    return options;
  }

  StoreResult<PutAnswer> TryPut(std::string_view name, int64_t size, StorageLevel level,
                                int64_t task = kNobody) {
    const BlockId id = Id(name);
    NamedSupplier supplier(BytesOf(name, size));
    return blocks_->PutBytes({.id = &id, .level = level, .task = task}, size, supplier);
  }
  bool Put(std::string_view name, int64_t size,
           StorageLevel level = StorageLevel::MemoryAndDiskSer()) {
    const StoreResult<PutAnswer> answer = TryPut(name, size, level);
    return answer.ok() && *answer == PutAnswer::kStored;
  }
  StoreResult<PutAnswer> PutText(std::string_view name, const std::string& text,
                                 StorageLevel level = StorageLevel::MemoryAndDisk()) {
    const BlockId id = Id(name);
    auto value = std::make_unique<std::string>(text);
    const StoreResult<PutAnswer> answer = blocks_->PutValue(
        {.id = &id, .level = level}, static_cast<int64_t>(text.size()), value.get(), &closer_);
    if (answer.ok() && *answer == PutAnswer::kStored) static_cast<void>(value.release());
    return answer;
  }

  static std::string TextOf(const BlockPin& pin) {
    if (!pin->is_serialized()) return "value " + *static_cast<std::string*>(pin->values()[0]);
    std::string text;
    pin->bytes().ForEachChunk([&text](const char* bytes, int64_t count) {
      text.append(bytes, static_cast<size_t>(count));
    });
    return text;
  }
  BlockPin Pin(std::string_view name, int64_t task = kNobody) {
    StoreResult<BlockPin> pin = blocks_->Get(Id(name), task);
    EXPECT_TRUE(pin.ok()) << name;
    return std::move(*pin);
  }
  std::string Text(std::string_view name) {
    const BlockPin pin = Pin(name);
    return pin ? TextOf(pin) : "absent";
  }
  // "memory", "disk", "memory disk", "" where it is registered nowhere.
  std::string Where(std::string_view name) {
    BlockStatus status;
    if (!blocks_->GetStatus(Id(name), &status)) return "";
    return std::string(status.is_in_memory ? "memory" : "") +
           (status.is_in_memory && status.is_on_disk ? " " : "") +
           (status.is_on_disk ? "disk" : "");
  }
  void Damage(char change) {
    for (const auto& file : std::filesystem::recursive_directory_iterator(path_)) {
      if (!file.path().filename().string().starts_with("block")) continue;
      if (change == 'r') std::filesystem::remove(file);
      if (change == 't') std::filesystem::resize_file(file, file.file_size() - 1);
      if (change != 'c') continue;
      std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      stream.seekp(static_cast<std::streamoff>(file.file_size() / 2));
      stream.put('#');
    }
  }

  TestLog log_;
  TestDisk ops_;
  SpillDir dir_;
  std::string path_;
  TestMemory memory_;
  TestMemory data_;
  TextCloser closer_;
  Watcher watcher_;
  UnifiedMemoryManager manager_{ManagerOptions(&log_)};
  std::optional<DiskStore> disk_;
  std::optional<BlockManager> blocks_;
};

class NoDiskTest : public BlockManagerTest {
 protected:
  NoDiskTest() : BlockManagerTest(false) {}
};

TEST_F(BlockManagerTest, BytesAreWhatWasPut) {
  EXPECT_TRUE(Put("rdd_0_1", 300));
  EXPECT_EQ(Text("rdd_0_1"), BytesOf("rdd_0_1", 300));
  EXPECT_EQ(Where("rdd_0_1"), "memory");
  EXPECT_TRUE(blocks_->Contains(Id("rdd_0_1")));
  EXPECT_EQ(manager_.StorageMemoryUsed(), 300);
  EXPECT_FALSE(Pin("rdd_0_2"));
}

TEST_F(BlockManagerTest, BLK1_EvictedBlockGoesToDiskAndComesBack) {
  EXPECT_TRUE(Put("a", 600));
  log_.Take();
  EXPECT_TRUE(Put("b", 500));
  EXPECT_EQ(log_.Take(),
            (Lines{"INFO 1 blocks selected for dropping (600.0 B bytes)",
                   "INFO Dropping block a from memory", "INFO Writing block a to disk",
                   "DEBUG Block a of size 600 dropped from memory (free 1000)",
                   "INFO After dropping 1 blocks, free memory is 1000.0 B",
                   "INFO Block b stored as bytes in memory (estimated size 500.0 B, free "
                   "500.0 B)"}));
  EXPECT_EQ(watcher_.Take(), (Lines{"written a 600", "evicted a 600"}));
  EXPECT_EQ(Where("a"), "disk");
  // BLK-3: there is room once b may go.
  EXPECT_EQ(Text("a"), BytesOf("a", 600));
  EXPECT_EQ(Where("a"), "memory disk");
  EXPECT_EQ(Where("b"), "disk");
  EXPECT_EQ(watcher_.Take(), (Lines{"written b 500", "evicted b 500", "read a 600"}));
  // It is on disk still: nothing is written.
  EXPECT_TRUE(Put("c", 700));
  EXPECT_EQ(watcher_.Take(), (Lines{"evicted a 600"}));
}

TEST_F(BlockManagerTest, BLK1_BlockOfMemoryOnlyIsGone) {
  EXPECT_TRUE(Put("a", 600, StorageLevel::MemoryOnlySer()));
  EXPECT_TRUE(Put("b", 500));
  EXPECT_EQ(Where("a"), "");
  EXPECT_FALSE(Pin("a"));
  EXPECT_TRUE(Put("a", 100));  // its name is free
}

TEST_F(BlockManagerTest, BLK2_WhatDoesNotFitGoesToDisk) {
  log_.Take();
  EXPECT_TRUE(Put("a", 1200));
  EXPECT_EQ(log_.Take(), (Lines{"INFO Will not store a as the required space (1200 bytes) exceeds "
                                "our memory limit (1000 bytes)",
                                "WARN Persisting block a to disk instead."}));
  EXPECT_EQ(Where("a"), "disk");
  EXPECT_EQ(Text("a"), BytesOf("a", 1200));
  EXPECT_EQ(Where("a"), "disk");
  EXPECT_EQ(manager_.StorageMemoryUsed(), 0);
}

TEST_F(BlockManagerTest, BLK2_WhatDoesNotFitAndHasNoDiskIsNotStored) {
  log_.Take();
  const StoreResult<PutAnswer> answer = TryPut("a", 1200, StorageLevel::MemoryOnlySer());
  EXPECT_EQ(*answer, PutAnswer::kNoRoom);
  EXPECT_EQ(log_.Take(), (Lines{"INFO Will not store a as the required space (1200 bytes) exceeds "
                                "our memory limit (1000 bytes)",
                                "WARN Putting block a failed"}));
  EXPECT_EQ(Where("a"), "");
  EXPECT_EQ(blocks_->infos().size(), 0);
}

TEST_F(BlockManagerTest, BLK2_BlockThatExists) {
  EXPECT_TRUE(Put("a", 100));
  log_.Take();
  EXPECT_EQ(*TryPut("a", 200, StorageLevel::MemoryOnlySer()), PutAnswer::kExists);
  EXPECT_EQ(log_.Take(), Lines{"WARN Block a already exists on this machine; not re-adding it"});
  EXPECT_EQ(Pin("a")->size(), 100);
}

TEST_F(BlockManagerTest, BLK2_SupplierThatFails) {
  const BlockId id = Id("a");
  NamedSupplier supplier("123");
  supplier.fails = true;
  for (const StorageLevel level : {StorageLevel::MemoryOnlySer(), StorageLevel::DiskOnly()}) {
    const StoreResult<PutAnswer> answer =
        blocks_->PutBytes({.id = &id, .level = level}, 3, supplier);
    EXPECT_EQ(answer.error().code, StoreErrorCode::kSupplierFailed);
    EXPECT_EQ(log_.Take(), Lines{"WARN Putting block a failed due to exception the bytes of block "
                                 "a could not be had: no bytes."});
    EXPECT_EQ(blocks_->infos().size(), 0);
  }
}

TEST_F(BlockManagerTest, DiskOnlyIsNeverInMemory) {
  EXPECT_TRUE(Put("a", 300, StorageLevel::DiskOnly()));
  EXPECT_EQ(Where("a"), "disk");
  EXPECT_EQ(Text("a"), BytesOf("a", 300));
  EXPECT_EQ(Where("a"), "disk");
  EXPECT_EQ(manager_.StorageMemoryUsed(), 0);
}

TEST_F(BlockManagerTest, EmptyBlock) {
  for (const StorageLevel level : {StorageLevel::MemoryOnlySer(), StorageLevel::DiskOnly()}) {
    EXPECT_TRUE(Put("a", 0, level));
    EXPECT_EQ(Pin("a")->size(), 0);
    EXPECT_EQ(*blocks_->Remove(Id("a"), kNobody), LockOutcome::kLocked);
  }
}

TEST_F(BlockManagerTest, PinnedBlocksStay) {
  EXPECT_TRUE(Put("a", 600));
  BlockPin pin = Pin("a");
  EXPECT_EQ(*TryPut("b", 500, StorageLevel::MemoryOnlySer()), PutAnswer::kNoRoom);
  EXPECT_EQ(*blocks_->Remove(Id("a"), kNobody), LockOutcome::kBusy);
  EXPECT_EQ(*blocks_->Remove(Id("a"), 7), LockOutcome::kBusy);
  EXPECT_EQ(TextOf(pin), BytesOf("a", 600));
  pin.Reset();
  EXPECT_TRUE(Put("b", 500, StorageLevel::MemoryOnlySer()));
  EXPECT_EQ(*blocks_->Remove(Id("a"), 7), LockOutcome::kLocked);
  EXPECT_EQ(*blocks_->Remove(Id("a"), 7), LockOutcome::kAbsent);
  blocks_->ReleaseTask(7, nullptr);
}

TEST_F(BlockManagerTest, RemoveTakesBlocksOffTheDisk) {
  EXPECT_TRUE(Put("a", 600));
  EXPECT_TRUE(Put("b", 600));
  EXPECT_EQ(disk_->Stats().blocks_now, 1u);
  EXPECT_EQ(*blocks_->Remove(Id("a"), kNobody), LockOutcome::kLocked);
  EXPECT_EQ(disk_->Stats().blocks_now, 0u);
}

TEST_F(BlockManagerTest, ReleasedByTheEndOfTheTask) {
  EXPECT_TRUE(Put("a", 100));
  BlockPin pin = Pin("a", 7);
  BlockPin again = Pin("a", 7);
  EXPECT_EQ(blocks_->ReleaseTask(7, nullptr), 1);
  EXPECT_EQ(*blocks_->Remove(Id("a"), kNobody), LockOutcome::kLocked);
  EXPECT_EQ(TextOf(pin), BytesOf("a", 100));  // as long as somebody looks at it
}

TEST_F(BlockManagerTest, DiskThatFailsKeepsTheBlockAndLetsOthersGo) {
  EXPECT_TRUE(Put("a", 300));
  EXPECT_TRUE(Put("b", 300, StorageLevel::MemoryOnlySer()));
  EXPECT_TRUE(Put("c", 300));
  for (const int error : {ENOSPC, EIO, EDQUOT}) {
    ops_.write_error = error;
    log_.Take();
    EXPECT_EQ(*TryPut("d", 500, StorageLevel::MemoryOnlySer()), PutAnswer::kNoRoom);
    ops_.write_error = 0;
    EXPECT_EQ(Text("a"), BytesOf("a", 300));
    EXPECT_EQ(Text("c"), BytesOf("c", 300));
    EXPECT_EQ(Where("a"), "memory");
    EXPECT_EQ(disk_->Stats().blocks_now, 0u);
    // What could go went.
    EXPECT_EQ(Where("b"), "");
  }
  const Lines notes = watcher_.Take();
  EXPECT_GE(std::count(notes.begin(), notes.end(), "failed a 0"), 3);
  EXPECT_TRUE(Put("d", 500));
}

TEST_F(BlockManagerTest, DiskThatFailsSaysSo) {
  EXPECT_TRUE(Put("a", 600, StorageLevel::MemoryAndDiskSer()));
  ops_.write_error = ENOSPC;
  log_.Take();
  EXPECT_FALSE(Put("b", 600, StorageLevel::MemoryOnlySer()));
  EXPECT_EQ(log_.Take(),
            (Lines{"INFO 1 blocks selected for dropping (600.0 B bytes)",
                   "INFO Dropping block a from memory", "INFO Writing block a to disk",
                   "WARN Block a stays in memory: block a: cannot write the block: No space left "
                   "on device",
                   "INFO Will not store b", "WARN Putting block b failed"}));
  const StoreResult<PutAnswer> answer = TryPut("c", 10, StorageLevel::DiskOnly());
  EXPECT_EQ(answer.error().code, StoreErrorCode::kDisk);
  EXPECT_EQ(answer.error().disk.code, DiskErrorCode::kNoSpace);
  EXPECT_EQ(Where("c"), "");
  EXPECT_EQ(TryPut("d", 2000, StorageLevel::MemoryAndDiskSer()).error().code,
            StoreErrorCode::kDisk);
}

class LostBlockTest : public BlockManagerTest, public ::testing::WithParamInterface<char> {};

TEST_P(LostBlockTest, IsReportedAndGone) {
  EXPECT_TRUE(Put("a", 600, StorageLevel::DiskOnly()));
  EXPECT_TRUE(Put("b", 600));
  EXPECT_TRUE(Put("c", 600));  // b is on disk
  Damage(GetParam());
  watcher_.Take();
  for (const char* name : {"a", "b"}) {
    const StoreResult<BlockPin> pin = blocks_->Get(Id(name), kNobody);
    EXPECT_EQ(pin.error().code, StoreErrorCode::kLost);
    EXPECT_EQ(pin.error().disk.code, DiskErrorCode::kLost);
    EXPECT_EQ(watcher_.Take().back(), std::string("lost ") + name + " 0");
    EXPECT_FALSE(Pin(name));
    EXPECT_EQ(Where(name), "");
  }
  EXPECT_EQ(blocks_->infos().size(), Where("c").empty() ? 0 : 1);
  EXPECT_TRUE(Put("a", 100, StorageLevel::DiskOnly()));
  EXPECT_EQ(Text("a"), BytesOf("a", 100));
}

INSTANTIATE_TEST_SUITE_P(RemovedTornCorrupted, LostBlockTest, ::testing::Values('r', 't', 'c'));

TEST_F(BlockManagerTest, VanishedDirectoryLosesWhatWasThereAndNothingElse) {
  EXPECT_TRUE(Put("a", 600));
  EXPECT_TRUE(Put("b", 600));
  std::filesystem::remove_all(path_);
  EXPECT_EQ(blocks_->Get(Id("a"), kNobody).error().code, StoreErrorCode::kLost);
  EXPECT_EQ(Text("b"), BytesOf("b", 600));
  // It is made anew.
  EXPECT_TRUE(Put("c", 600, StorageLevel::MemoryOnlySer()));
  EXPECT_EQ(Where("b"), "disk");
  EXPECT_EQ(Text("b"), BytesOf("b", 600));
}

TEST_F(BlockManagerTest, ReadThatFailsForNowLosesNothing) {
  EXPECT_TRUE(Put("a", 100, StorageLevel::DiskOnly()));
  ops_.open_error = EMFILE;
  EXPECT_EQ(blocks_->Get(Id("a"), kNobody).error().code, StoreErrorCode::kDisk);
  ops_.open_error = 0;
  EXPECT_EQ(Text("a"), BytesOf("a", 100));
}

TEST_F(BlockManagerTest, LostBlockThatSomebodyHasPinnedCanBePutAgainLater) {
  EXPECT_TRUE(Put("a", 100, StorageLevel::DiskOnly()));
  BlockPin pin = Pin("a");
  Damage('r');
  EXPECT_EQ(blocks_->Get(Id("a"), kNobody).error().code, StoreErrorCode::kLost);
  EXPECT_EQ(*TryPut("a", 50, StorageLevel::DiskOnly()), PutAnswer::kExists);
  EXPECT_EQ(TextOf(pin), BytesOf("a", 100));
  pin.Reset();
  EXPECT_TRUE(Put("a", 50, StorageLevel::DiskOnly()));
  EXPECT_EQ(Text("a"), BytesOf("a", 50));
}

TEST_F(BlockManagerTest, ValuesAreThere) {
  EXPECT_EQ(*PutText("v", "hello"), PutAnswer::kStored);
  EXPECT_EQ(Text("v"), "value hello");
  EXPECT_EQ(manager_.StorageMemoryUsed(), 5);
  EXPECT_EQ(closer_.closed["hello"], 0);
  EXPECT_EQ(*blocks_->Remove(Id("v"), kNobody), LockOutcome::kLocked);
  EXPECT_EQ(closer_.closed["hello"], 1);
}

TEST_F(BlockManagerTest, ValueGoesToDiskAsBytesAndIsClosed) {
  const std::string text(600, 'x');
  EXPECT_EQ(*PutText("v", text), PutAnswer::kStored);
  EXPECT_TRUE(Put("b", 600));
  EXPECT_EQ(closer_.closed[text], 1);
  EXPECT_EQ(Where("v"), "disk");
  EXPECT_EQ(Text("v"), text);  // bytes now
  EXPECT_EQ(closer_.closed[text], 1);
}

TEST_F(BlockManagerTest, ValueThatCannotBeSerializedIsGone) {
  closer_.can_serialize = false;
  const std::string text(600, 'x');
  EXPECT_EQ(*PutText("v", text), PutAnswer::kStored);
  EXPECT_TRUE(Put("b", 600));
  EXPECT_EQ(closer_.closed[text], 1);
  EXPECT_EQ(Where("v"), "");
  EXPECT_EQ(disk_->Stats().blocks_written, 0u);
  // Nor can it be put where only the disk has room.
  EXPECT_EQ(*PutText("v", std::string(1200, 'y')), PutAnswer::kNoRoom);
  EXPECT_EQ(PutText("v", "z", StorageLevel::DiskOnly()).error().code,
            StoreErrorCode::kSerializerFailed);
  EXPECT_EQ(closer_.closed.size(), 1u);
}

TEST_F(BlockManagerTest, ValueWhoseSerializerFailsStays) {
  closer_.fails = true;
  const std::string text(600, 'x');
  EXPECT_EQ(*PutText("v", text), PutAnswer::kStored);
  EXPECT_FALSE(Put("b", 600, StorageLevel::MemoryOnlySer()));
  EXPECT_EQ(Text("v"), "value " + text);
  EXPECT_EQ(closer_.closed[text], 0);
  EXPECT_EQ(PutText("w", std::string(1200, 'y')).error().code, StoreErrorCode::kSerializerFailed);
  EXPECT_EQ(closer_.closed.size(), 1u);  // looked up above, never closed
}

TEST_F(BlockManagerTest, ValueThatDoesNotFitGoesToDisk) {
  const std::string text(1200, 'y');
  EXPECT_EQ(*PutText("v", text), PutAnswer::kStored);
  EXPECT_EQ(closer_.closed[text], 1);
  EXPECT_EQ(Text("v"), text);
}

TEST_F(BlockManagerTest, PinnedValueIsClosedAfterItsPin) {
  EXPECT_EQ(*PutText("v", "x"), PutAnswer::kStored);
  BlockPin pin = Pin("v", 7);
  blocks_->ReleaseTask(7, nullptr);
  EXPECT_EQ(*blocks_->Remove(Id("v"), kNobody), LockOutcome::kLocked);
  EXPECT_EQ(closer_.closed["x"], 0);
  pin.Reset();
  EXPECT_EQ(closer_.closed["x"], 1);
}

TEST_F(BlockManagerTest, ValueThatExistsStaysTheCallers) {
  EXPECT_EQ(*PutText("v", "first"), PutAnswer::kStored);
  EXPECT_EQ(*PutText("v", "second"), PutAnswer::kExists);
  EXPECT_TRUE(closer_.closed.empty());
}

class IteratorPutTest : public BlockManagerTest {
 protected:
  // `count` numbers, 10 bytes each.
  StoreResult<PutAnswer> PutNumbers(std::string_view name, int64_t count, StorageLevel level,
                                    PartiallyUnrolledIterator* rest) {
    const BlockId id = Id(name);
    values_.emplace(count);
    return blocks_->PutIterator({.id = &id, .level = level, .task = 7},
                                {&*values_, nullptr, &sizes_, &serializer_}, rest);
  }
  std::optional<TestValues> values_;
  LinearSizes sizes_{10};
  TestSerializer serializer_{10};
};

TEST_F(IteratorPutTest, AsValuesAndAsBytes) {
  PartiallyUnrolledIterator rest;
  EXPECT_EQ(*PutNumbers("v", 20, StorageLevel::MemoryOnly(), &rest), PutAnswer::kStored);
  EXPECT_FALSE(Pin("v")->is_serialized());
  EXPECT_EQ(Pin("v")->count(), 20);
  EXPECT_EQ(*PutNumbers("b", 20, StorageLevel::MemoryOnlySer(), &rest), PutAnswer::kStored);
  EXPECT_EQ(serializer_.Decode(Text("b")).size(), 20u);
  EXPECT_EQ(*PutNumbers("d", 20, StorageLevel::DiskOnly(), &rest), PutAnswer::kStored);
  EXPECT_EQ(serializer_.Decode(Text("d")).back(), 20);
  EXPECT_EQ(blocks_->ReleaseTask(7, nullptr), 0);
}

TEST_F(IteratorPutTest, BLK2_PartialAndRestGoToDisk) {
  for (const StorageLevel level :
       {StorageLevel::MemoryAndDisk(), StorageLevel::MemoryAndDiskSer()}) {
    PartiallyUnrolledIterator rest;
    log_.Take();
    EXPECT_EQ(*PutNumbers("v", 200, level, &rest), PutAnswer::kStored);
    const Lines lines = log_.Take();
    EXPECT_EQ(lines.back(), "WARN Persisting block v to disk instead.");
    const std::vector<int64_t> numbers = serializer_.Decode(Text("v"));
    ASSERT_EQ(numbers.size(), 200u);
    for (size_t i = 0; i < 200; ++i) EXPECT_EQ(numbers[i], static_cast<int64_t>(i) + 1);
    EXPECT_EQ(Where("v"), "disk");
    EXPECT_EQ(manager_.StorageMemoryUsed(), 0);
    EXPECT_EQ(*blocks_->Remove(Id("v"), kNobody), LockOutcome::kLocked);
  }
  blocks_->ReleaseTask(7, nullptr);
}

TEST_F(IteratorPutTest, BLK2_WithoutDiskTheIteratorIsHandedBack) {
  for (const StorageLevel level : {StorageLevel::MemoryOnly(), StorageLevel::MemoryOnlySer()}) {
    PartiallyUnrolledIterator rest;
    EXPECT_EQ(*PutNumbers("v", 200, level, &rest), PutAnswer::kNoRoom);
    EXPECT_EQ(log_.Take().back(), "WARN Putting block v failed");
    int64_t expected = 0;
    while (rest.HasNext(7)) EXPECT_EQ(NumberOf(rest.Next()), ++expected);
    EXPECT_EQ(expected, 200);
    EXPECT_EQ(manager_.StorageMemoryUsed(), 0);
    EXPECT_EQ(Where("v"), "");
  }
  blocks_->ReleaseTask(7, nullptr);
}

TEST_F(IteratorPutTest, DiskThatFailsReleasesEverything) {
  ops_.write_error = EIO;
  for (const StorageLevel level : {StorageLevel::MemoryAndDisk(), StorageLevel::MemoryAndDiskSer(),
                                   StorageLevel::DiskOnly()}) {
    PartiallyUnrolledIterator rest;
    EXPECT_EQ(PutNumbers("v", 200, level, &rest).error().code, StoreErrorCode::kDisk);
    EXPECT_EQ(manager_.StorageMemoryUsed(), 0);
    EXPECT_EQ(blocks_->infos().size(), 0);
  }
  blocks_->ReleaseTask(7, nullptr);
}

TEST_F(NoDiskTest, LevelsAreAsIfTheyHadNone) {
  EXPECT_TRUE(Put("a", 600));
  EXPECT_TRUE(Put("b", 600));
  EXPECT_EQ(Where("a"), "");
  EXPECT_EQ(*TryPut("c", 1200, StorageLevel::MemoryAndDiskSer()), PutAnswer::kNoRoom);
  const StoreResult<PutAnswer> answer = TryPut("d", 1, StorageLevel::DiskOnly());
  EXPECT_EQ(answer.error().code, StoreErrorCode::kNoDisk);
  char text[200];
  Describe(answer.error(), "d", text, sizeof(text));
  EXPECT_STREQ(text, "block d can only go to disk, and there is no --spill-dir");
}

TEST_F(BlockManagerTest, BadPuts) {
  EXPECT_EQ(TryPut("a", 1, StorageLevel::None()).error().code, StoreErrorCode::kInvalidArgument);
  NamedSupplier supplier("x");
  const BlockId id = Id("a");
  EXPECT_EQ(blocks_->PutBytes({.id = &id, .level = StorageLevel::MemoryOnly()}, -1, supplier)
                .error()
                .code,
            StoreErrorCode::kInvalidArgument);
  EXPECT_EQ(blocks_->PutBytes({.id = nullptr, .level = StorageLevel::MemoryOnly()}, 1, supplier)
                .error()
                .code,
            StoreErrorCode::kInvalidArgument);
  EXPECT_EQ(supplier.calls, 0);
}

TEST_F(BlockManagerTest, NoLockIsHeldDuringAWrite) {
  EXPECT_TRUE(Put("a", 600));
  int writes = 0;
  ops_.on_write = [&] {
    if (writes++ > 0) return;
    EXPECT_EQ(blocks_->BytesInFlight(), 600);
    // Everything else goes on meanwhile, on this very thread.
    EXPECT_TRUE(Put("c", 100));
    EXPECT_EQ(Text("c"), BytesOf("c", 100));
    EXPECT_EQ(*blocks_->Remove(Id("c"), kNobody), LockOutcome::kLocked);
    EXPECT_EQ(*manager_.AcquireExecutionMemory({.bytes = 1, .task = 3, .timeout_ns = 0}), 1);
    EXPECT_EQ(manager_.ReleaseExecutionMemory(1, 3, kOn), 1);
    // But nobody gets at this one.
    EXPECT_EQ(blocks_->Get(Id("a"), kNobody, LockWait::None()).error().code,
              StoreErrorCode::kTimedOut);
    EXPECT_EQ(*blocks_->Remove(Id("a"), kNobody, LockWait::None()), LockOutcome::kBusy);
  };
  EXPECT_TRUE(Put("b", 500));
  EXPECT_GT(writes, 0);
  ops_.on_write = nullptr;
  EXPECT_EQ(Text("a"), BytesOf("a", 600));
}

TEST_F(BlockManagerTest, GetWaitsForTheWriteAndReadsTheBlockBack) {
  EXPECT_TRUE(Put("a", 600));
  std::thread reader;
  std::string text;
  ops_.on_write = [&] {
    if (reader.joinable()) return;
    reader = std::thread([&] { text = Text("a"); });
    while (blocks_->infos().WaitingThreads() == 0) std::this_thread::yield();
  };
  EXPECT_TRUE(Put("b", 500));
  reader.join();
  ops_.on_write = nullptr;
  EXPECT_EQ(text, BytesOf("a", 600));
}

TEST_F(BlockManagerTest, WithoutMemoryNothingIsLostOrLeaked) {
  for (int index = 0; index < 40; ++index) {
    EXPECT_TRUE(Put("a", 600));
    memory_.FailFrom(index);
    data_.FailFrom(index / 4);
    const BlockId id = Id("b");
    NamedSupplier supplier(BytesOf("b", 600));
    const StoreResult<PutAnswer> answer = blocks_->PutBytes(
        {.id = &id, .level = StorageLevel::MemoryAndDiskSer(), .task = 7}, 600, supplier);
    const StoreResult<BlockPin> pin = blocks_->Get(Id("a"), 7);
    memory_.FailNever();
    data_.FailNever();
    if (pin.ok()) {
      EXPECT_EQ(TextOf(*pin), BytesOf("a", 600));
    }
    EXPECT_EQ(Text("a"), BytesOf("a", 600));
    if (answer.ok() && *answer == PutAnswer::kStored) {
      EXPECT_EQ(Text("b"), BytesOf("b", 600));
    } else {
      EXPECT_EQ(Where("b"), "");
    }
    const_cast<BlockPin&>(*pin).Reset();
    blocks_->ReleaseTask(7, nullptr);
    blocks_->Clear();
    EXPECT_EQ(manager_.StorageMemoryUsed(), 0);
  }
}

TEST_F(BlockManagerTest, ChildHasWhatWasInMemory) {
  EXPECT_TRUE(Put("a", 600));
  EXPECT_TRUE(Put("b", 600));  // a is on disk
  BlockPin pin = Pin("b", 7);
  ForkLocks locks;
  blocks_->AddLocks(&locks);
  disk_->AddLocks(&locks);
  dir_.AddLocks(&locks);
  locks.LockAll(kNoDeadline);
  const pid_t child = fork();
  if (child == 0) {
    dir_.ResetInChild();
    disk_->ResetInChild();
    blocks_->ResetInChild(false);
    if (Where("a") != "" || Where("b") != "memory") _exit(1);
    if (TextOf(pin) != BytesOf("b", 600)) _exit(2);
    if (Put("c", 900, StorageLevel::MemoryOnlySer())) _exit(3);  // b is pinned
    pin.Reset();
    if (!Put("c", 900, StorageLevel::MemoryOnlySer())) _exit(4);
    if (Where("b") != "disk" || Text("b") != BytesOf("b", 600)) _exit(5);
    dir_.Remove();
    _exit(0);
  }
  locks.UnlockAll();
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(Text("a"), BytesOf("a", 600));
}

}  // namespace
}  // namespace taskmem
