// Blocks in files: Spark's DiskStore, for one process. Its files are of no use to another
// one, and end with it.
#ifndef TASKMEM_SPILL_DISK_DISK_STORE_H_
#define TASKMEM_SPILL_DISK_DISK_STORE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "accounting/base/fork_locks.h"
#include "accounting/base/mutex.h"
#include "accounting/memory/memory_allocator.h"
#include "spill/disk/block_codec.h"
#include "spill/files/disk_error.h"
#include "spill/files/file_ops.h"
#include "spill/files/spill_dir.h"
#include "spill/names/block_bytes.h"
#include "spill/names/node_table.h"

namespace taskmem {

// All of it since the store was made, except what is `now`. Bytes are of data, except `disk`.
struct DiskStoreStats {
  uint64_t blocks_now = 0;
  uint64_t bytes_now = 0;
  uint64_t disk_bytes_now = 0;  // lengths of their files
  uint64_t bytes_being_written_now = 0;
  uint64_t bytes_being_read_now = 0;
  uint64_t blocks_written = 0;
  uint64_t bytes_written = 0;
  uint64_t disk_bytes_written = 0;
  uint64_t blocks_read = 0;
  uint64_t bytes_read = 0;
  uint64_t puts_failed = 0;
  uint64_t blocks_lost = 0;  // reads that found no whole block
};

// Thread-safe, except the calls around fork(). Its lock is never held during I/O or while
// memory is taken. Several threads may put, get and remove the same block at once: the put
// that ends last wins, and a get sees one of the blocks as a whole. Keeps errno.
class DiskStore {
 public:
  static constexpr size_t kMaxIdBytes = 4096;

  struct Options {
    // For the index, and under 1 MiB at a time for a put or get with compression.
    MemorySource source = SystemMemory();
    const BlockCodec* codec = nullptr;  // null: blocks are stored as they are
    bool sync = false;                  // fsync the file and the directory
  };

  // `dir` is open before the first put. Both must outlive the store.
  DiskStore(SpillDir& dir, const Options& options, FileOps& ops = SystemFileOps())
      : dir_(dir), ops_(ops), options_(options) {}
  // Frees the index. The files stay until Clear, or SpillDir::Remove.
  ~DiskStore();
  DiskStore(const DiskStore&) = delete;
  DiskStore& operator=(const DiskStore&) = delete;

  // Stores `size` bytes (>= 0) under `id`, any 1 to kMaxIdBytes bytes, in place of a block it
  // has. They must not change meanwhile. On an error the store is as it was, with nothing left
  // behind on disk; DiskError says which.
  DiskError Put(std::string_view id, int64_t size, BlockBytes& bytes);
  DiskError Put(std::string_view id, const void* bytes, int64_t size);

  // Reads the block into `memory`. kNotFound; kWrongSize: it has not `size` bytes; kLost: its
  // file is not what was put, see there. On an error `memory` has none of its data.
  DiskError Get(std::string_view id, void* memory, int64_t size);

  // False: it was not there. Its file goes, too; where that fails now, at a later put or remove.
  bool Remove(std::string_view id);
  void Clear();

  bool Contains(std::string_view id) { return Size(id) >= 0; }
  // Bytes of its data; -1: there is no such block.
  int64_t Size(std::string_view id);
  // Length of its file; -1: there is no such block.
  int64_t DiskBytes(std::string_view id);

  DiskStoreStats Stats() const;

  // Around fork(), outside of SpillDir's. Blocks that were put before it are the parent's: the
  // child's store is empty. ResetInChild frees memory.
  void AddLocks(ForkLocks* locks) { locks->Add(mutex_); }
  void ResetInChild();

 private:
  // Where a block is. The file of a number never changes.
  struct Place {
    uint64_t generation = 0;  // of the directory
    uint64_t hash = 0;
    uint64_t number = 0;
    int64_t size = 0;
    int64_t file_bytes = 0;
    bool is_compressed = false;
    bool is_new = false;   // the file has the name it has while it is written
    bool is_left = false;  // the put failed, but its file could not be removed
  };
  struct Entry;
  class Scratch;

  Entry* NewEntry(std::string_view id, uint64_t hash, int64_t size);
  DiskError WriteFile(std::string_view id, BlockBytes& bytes, const Scratch& scratch, Place* place);
  DiskError CreateFile(Place* place, int* directory, int* fd);
  DiskError ReadFile(std::string_view id, const Place& place, char* memory);
  // False: it is still there.
  bool RemoveFile(const Place& place);
  bool RemoveFile(int directory, const Place& place);
  void Discard(Entry* entry);
  void DiscardAll(Entry* entries);
  void DestroyAll(Entry* entries);
  void RetryRemovals();

  Entry* Find(std::string_view id, uint64_t hash);
  bool Look(std::string_view id, uint64_t hash, Place* place);
  void List(Entry* entry);
  void Unlist(Entry* entry);
  Entry* UnlistAll();

  SpillDir& dir_;
  FileOps& ops_;
  const Options options_;
  mutable Mutex mutex_;  // guards what follows
  NodeTable<Entry> index_;
  Entry* not_removed_ = nullptr;  // blocks of no index whose files could not be removed yet
  uint64_t last_number_ = 0;
  DiskStoreStats stats_;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_DISK_DISK_STORE_H_
