#include "shim/spilling/block_store.h"

#include <cerrno>
#include <new>

#include "accounting/base/mutex.h"
#include "accounting/base/round_up.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/books/after_fork.h"
#include "shim/books/own_memory.h"
#include "shim/heap/heap.h"
#include "shim/mappings/mappings.h"
#include "shim/options/log.h"
#include "shim/options/spill_files.h"
#include "shim/published/stats_segment.h"
#include "shim/spilling/reclaim_tables.h"

namespace taskmem {
namespace {

// A write to disk of another thread is worth waiting for; somebody who never ends is not.
constexpr int64_t kLockWaitNs = int64_t{60'000'000'000};

alignas(DiskStore) char g_disk_place[sizeof(DiskStore)];
alignas(BlockManager) char g_blocks_place[sizeof(BlockManager)];
constinit Mutex g_mutex;  // while it is made
std::atomic<BlockManager*> g_blocks{nullptr};
DiskStore* g_disk = nullptr;
// Constant from the start: a constructor would run after the library's own and undo it.
constinit DiskStore::Options g_disk_options = {.source = {}};

__thread int t_callbacks __attribute__((tls_model("initial-exec"))) = 0;

// In front of what OwnAllocate gives: OwnFree wants to know.
struct alignas(16) OwnHeader {
  size_t bytes;
};

// Counts for the task on whose behalf this thread works.
class Counter final : public BlockObserver {
 public:
  void BlockEvicted(const BlockId&, int64_t bytes) override {
    Add(&ReclaimBook::evicted_blocks, 1);
    Add(&ReclaimBook::evicted_bytes, bytes);
  }
  void BlockWritten(const BlockId&, int64_t bytes) override {
    Add(&ReclaimBook::written_bytes, bytes);
  }
  void BlockRead(const BlockId&, int64_t bytes) override { Add(&ReclaimBook::read_bytes, bytes); }

 private:
  static void Add(std::atomic<uint64_t> ReclaimBook::*counter, int64_t count) {
    const uint32_t acquiring = SlotThatAcquires();
    const uint32_t slot = acquiring != 0 ? acquiring : GetCurrentTask().slot;
    (g_reclaim_books[slot].*counter)
        .fetch_add(static_cast<uint64_t>(count), std::memory_order_relaxed);
  }
};

constinit Counter g_counter;

}  // namespace

MemorySource OwnMemory() {
  return {[](size_t bytes, void*) -> void* {
            if (bytes > SIZE_MAX - sizeof(OwnHeader)) return nullptr;
            void* const memory = OwnAllocate(bytes + sizeof(OwnHeader));
            if (memory == nullptr) return nullptr;
            return new (memory) OwnHeader{bytes + sizeof(OwnHeader)} + 1;
          },
          [](void* address, void*) {
            auto* const header = static_cast<OwnHeader*>(address) - 1;
            OwnFree(header, header->bytes);
          },
          nullptr};
}

// Not from the heaps: blocks are freed by whoever needs the room, and a heap takes back what
// another thread has freed when its own thread comes by.
MemorySource StorageMemory() {
  constexpr size_t kPageBytes = 4096;
  constexpr size_t kSmallBytes = 2048;
  // In front of each: what lies behind is aligned as malloc does.
  struct alignas(16) Header {
    size_t bytes;
  };
  return {[](size_t bytes, void*) -> void* {
            if (bytes > SIZE_MAX / 2) return nullptr;
            size_t whole = bytes + sizeof(Header);
            void* memory = nullptr;
            if (whole <= kSmallBytes) {
              memory = OwnAllocate(whole);
            } else {
              whole = RoundUp(whole, kPageBytes);
              memory = MapStorage(whole);
            }
            if (memory == nullptr) return nullptr;
            CountMappedStorage(static_cast<int64_t>(whole));
            return new (memory) Header{whole} + 1;
          },
          [](void* address, void*) {
            auto* const header = static_cast<Header*>(address) - 1;
            const size_t whole = header->bytes;
            if (whole <= kSmallBytes) {
              OwnFree(header, whole);
            } else {
              UnmapStorage(header, whole);
            }
            CountMappedStorage(-static_cast<int64_t>(whole));
          },
          nullptr};
}

void ConfigureBlockStore(const Options& options) {
  g_disk_options.source = OwnMemory();
  g_disk_options.sync = options.spill_fsync;
  if (options.spill_compress != SpillCodec::kLz4 || SpillFiles() == nullptr) return;
  char why[256];
  g_disk_options.codec = OpenLz4(why, sizeof(why));
  if (g_disk_options.codec == nullptr) {
    Message("cannot compress with lz4: %s; blocks are written as they are", why);
  }
}

BlockManager* BlockStore() { return g_blocks.load(std::memory_order_acquire); }

BlockManager* OpenBlockStore() {
  BlockManager* blocks = BlockStore();
  if (blocks != nullptr || Pools() == nullptr) return blocks;
  EnsureSettledBooks();
  {
    const MutexLock lock(g_mutex);
    blocks = BlockStore();
    if (blocks != nullptr) return blocks;
    SpillDir* const dir = SpillFiles();
    if (dir != nullptr) g_disk = new (g_disk_place) DiskStore(*dir, g_disk_options);
    BlockManager::Options options;
    options.memory.source = OwnMemory();
    options.memory.data_source = StorageMemory();
    options.disk = g_disk;
    options.observer = &g_counter;
    blocks = new (g_blocks_place) BlockManager(*Pools(), options);
    AttachToPools(&blocks->memory());
    g_blocks.store(blocks, std::memory_order_release);
    PublishBlocks(blocks->memory());
  }
  blocks->memory().LogStart();
  return blocks;
}

StoreCall::StoreCall(bool changes) : errno_(errno), inside_(changes) {}
StoreCall::~StoreCall() { errno = errno_; }
StoreCall::operator bool() const { return inside_ && !IsAllocating(); }

// Whoever waits inside a callback may keep the thread waiting that has the lock.
LockWait StoreCall::Wait() {
  return {.timeout_ns = t_callbacks > 0 ? 0 : kLockWaitNs, .cancellation = nullptr};
}

Callback::Callback() { ++t_callbacks; }
Callback::~Callback() { --t_callbacks; }

void AddBlockStoreLocks(ForkLocks* locks) {
  locks->Add(g_mutex);
  if (BlockManager* const blocks = BlockStore()) {
    blocks->AddLocks(locks);
    if (g_disk != nullptr) g_disk->AddLocks(locks);
  }
}

void BlockStoreAfterForkInChild() {
  BlockManager* const blocks = BlockStore();
  if (blocks == nullptr) return;
  EnsureSettledBooks();
  const InsidePools inside;
  // What a signal handler has interrupted goes on in the child as well.
  if (!inside) return;
  if (g_disk != nullptr) g_disk->ResetInChild();
  blocks->ResetInChild(t_callbacks > 0);
}

}  // namespace taskmem
