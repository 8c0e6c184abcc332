// The block store of this process: spill/blocks/block_manager.h on the pools of this process, its
// bytes in storage memory, its disk in the spill directory. It is made at the first put, in
// place; until then blocks cost nothing.
//
// Callbacks of the program run with no lock held, and outside of the pools: they may allocate,
// free, attach and call the block API, which does not wait for another's lock there.
#ifndef TASKMEM_SHIM_SPILLING_BLOCK_STORE_H_
#define TASKMEM_SHIM_SPILLING_BLOCK_STORE_H_

#include <cstdint>

#include "accounting/memory/memory_allocator.h"
#include "shim/books/pools.h"
#include "shim/options/options.h"
#include "spill/blocks/block_manager.h"

namespace taskmem {

// At the start, after OpenSpillFiles and OpenPools.
void ConfigureBlockStore(const Options& options);

// The store, made where there is none. nullptr: there are no pools yet, or no memory.
BlockManager* OpenBlockStore();
// The store, if there is one.
BlockManager* BlockStore();

// What stands in front of every call of the store: keeps errno, and a signal handler that
// interrupts it out.
class StoreCall {
 public:
  explicit StoreCall(bool changes = true);
  ~StoreCall();
  StoreCall(const StoreCall&) = delete;
  StoreCall& operator=(const StoreCall&) = delete;
  // False: this is such a signal handler.
  explicit operator bool() const;
  // How long it may wait for another's lock.
  static LockWait Wait();

 private:
  const int errno_;
  const InsidePools inside_;
};

// While it lives a callback of the program runs.
class Callback {
 public:
  Callback();
  ~Callback();
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;

 private:
  const OutsidePools outside_;
};

// The library's own memory, and memory of the storage book.
MemorySource OwnMemory();
MemorySource StorageMemory();

// Around fork(): the store's locks, in front of SpillFiles', and what the child has of it.
void AddBlockStoreLocks(ForkLocks* locks);
void BlockStoreAfterForkInChild();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SPILLING_BLOCK_STORE_H_
