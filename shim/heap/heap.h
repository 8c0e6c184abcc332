// The allocator with its books, as the rest of the library sees it: nothing here
// shows mimalloc. Implemented in shim/malloc, shim/collect and shim/limit.
#ifndef TASKMEM_SHIM_HEAP_HEAP_H_
#define TASKMEM_SHIM_HEAP_HEAP_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "shim/books/current_task.h"
#include "spill/reclaim/limit_policy.h"

// Hidden names of what is exported: the library calls itself by these, so that
// no other preload library gets between.
extern "C" {
void* TaskmemMalloc(size_t size);
void TaskmemFree(void* block);
void* TaskmemCalloc(size_t count, size_t size);
void* TaskmemRealloc(void* block, size_t size);
void* TaskmemMemalign(size_t alignment, size_t size);
// realloc of a block to that alignment, a power of two. nullptr: refused, and the block is as it
// was.
void* TaskmemReallocAligned(void* block, size_t size, size_t alignment);
size_t TaskmemUsableSize(void* block);
}

namespace taskmem {

// malloc where no free list can serve it.
void* MallocSlow(size_t size);

// Set before the first thread is started, then constant.
extern LimitPolicy g_limit_policy;

// How long a request may wait for memory of the pools; set as above.
extern int64_t g_reclaim_wait_ns;

// From here on nothing is refused.
extern std::atomic<bool> g_process_is_dying;

// The task the calling thread works for. Untracked where the task has ended, or the thread has no
// context.
CurrentTask GetCurrentTask();

// Makes the slot the thread's task. The pair that is known costs nanoseconds.
// False: no memory. `keep_after_end`: for --inherit always.
bool AttachThread(const CurrentTask& task, bool keep_after_end);
bool AttachKnown(uint64_t id);

// Gives the thread a context, if it has none yet, and takes it away again.
// `birth` tells ThreadEntered (upcalls.h) where the thread comes from.
void EnterHeap(const struct ThreadBirth* birth);
void LeaveHeap();
const struct ThreadBirth* CurrentBirth();

// This thread is amid an allocation: a signal handler has interrupted that.
bool IsAllocating();

// The program changes what of a block it was given may be done, or what becomes of it at a fork:
// its memory is nobody else's afterwards.
void NoteChangedByProgram(const void* address);

// Of freed large blocks the allocator keeps memory (segments/kept_segments.h). Unmaps what was kept
// as long as it may be, or all of it. Returns how much is left, in bytes.
uint64_t LetKeptMemoryGo(bool all);
bool HasKeptMemory();
// In a forked child that has no other thread yet: it begins with none. Threads that are gone may
// have taken or put some.
void KeptMemoryAfterFork();
// More is charged: of what is kept, that is unmapped which is too much now.
void FitKeptMemory();

// Memory of the storage book that no heap has was mapped, or (negative) unmapped.
void CountMappedStorage(int64_t bytes);

// Blocks that were freed by other threads than took them stay charged until their threads
// collect them: this collects for all that sleep. Takes a while.
void CollectForAllThreads();

// Every thread calls RecheckThreadName (upcalls.h) at its next slow path.
void AskThreadsToCheckTheirNames();

// Nothing is refused to this thread.
void ExemptThread();

// The calling thread is, or is no more, one of an engine's pool: LookAtPoolThread (upcalls.h) says
// at its slow path whom it works for. An attachment by the program ends that.
void MarkPoolThread(bool is_pool);
// Of the thread with that ThreadEntry.
bool IsPoolThread(uint32_t entry);
// They look at their next allocation.
void PokePoolThreads();
// What the slow path does, for others that ask whom the thread works for.
void LookIfPoolThread();
// What the thread is attached to, also where that has ended.
CurrentTask AttachedTask();
// Its own ThreadEntry. False: it has none.
bool OwnThreadEntry(uint32_t* entry, uint32_t* tid);
// Where the calling thread's stack ends, and how much below is known to be readable (unwinder.h).
void OwnStackEnd(uint64_t* address, uint64_t* known_bytes);

// While it lives what this thread allocates is charged to a slot of no task. At its end the
// thread works for its task again, whatever was attached meanwhile. Nests. For threads that
// have a context, or none at all.
class SlotScope {
 public:
  SlotScope(uint64_t id, uint32_t slot);
  ~SlotScope();
  SlotScope(const SlotScope&) = delete;
  SlotScope& operator=(const SlotScope&) = delete;

 private:
  CurrentTask task_;
  bool has_context_;
  bool was_busy_;
  bool kept_ended_task_;
};

// While it lives this thread may run code of the program amid an allocation: a spill hook,
// a destructor, a supplier. What it allocates is charged to the spill reserve, is never
// refused and makes no room for itself.
class HookScope {
 public:
  HookScope();
  ~HookScope();
  HookScope(const HookScope&) = delete;
  HookScope& operator=(const HookScope&) = delete;

 private:
  const bool was_in_hook_;
  const SlotScope slot_;
};

// While it lives the segments that this thread takes from the system are of huge pages, where the
// machine gives them to who asks. For large blocks of an allocator that would ask; not where the
// thread's task has a quota, or --memory is set: more comes to be in memory than is charged.
class HugePages {
 public:
  explicit HugePages(size_t block_bytes);
  ~HugePages();
  HugePages(const HugePages&) = delete;
  HugePages& operator=(const HugePages&) = delete;
};

// What is free in this thread's context, or in those nobody runs with, and still charged is
// credited.
void CollectOwnContext();
void CollectOtherContexts();

// The thread ends amid an allocation, inside a hook: what it runs until then allocates anew,
// and makes no room.
void AbandonAllocation();

// While it lives this thread is inside the library: a signal handler that allocates does not
// come where it is. Nests.
class LibraryScope {
 public:
  LibraryScope();
  ~LibraryScope();
  LibraryScope(const LibraryScope&) = delete;
  LibraryScope& operator=(const LibraryScope&) = delete;

 private:
  const bool was_busy_;
};

// Threads that work for the ended task in `slot` notice at their next slow path.
void PokeThreadsOf(uint32_t slot);

// Gives up the pages this thread's context has for the ended task in `slot`.
void AbsorbEnded(uint64_t id, uint32_t slot);

// Collects what is free in every context that nobody runs with, and in this
// thread's own. What malloc_trim does.
void CollectEverything();

// The owner's slot of the live block that contains `address`. False: none does.
bool OwnerOf(const void* address, uint32_t* slot);

// Where the live block that contains `address` begins, and its page: 64 KiB aligned.
struct BlockPlace {
  uint32_t slot;
  char* block;
  char* page;
};
// False: no block does. The block must not be freed meanwhile.
bool FindBlock(const void* address, BlockPlace* place);

// Whether the 64 KiB aligned address is still where a page of the task in `slot`
// begins, or a shared page with blocks of its.
bool IsPageOf(const char* page, uint32_t slot);

// What the pages of all heaps add up to, by slot: what the books must say when
// no thread allocates meanwhile. Both have kMaxTaskSlots entries: what is charged, and what
// lies in the overflow file.
void WalkHeaps(uint64_t* bytes, uint64_t* overflow_bytes);

// Tells readers in other processes where the tables are. Once, with the books open.
void PublishAuditLayout();

// Writes the largest size classes of a task to standard error.
void ReportSizeClasses(uint32_t slot);

// Around fork(). The first, which waits for a thread that collects this thread's context, comes
// before the locks are taken.
void HeapBeforeFork();
void AddHeapLocks(class ForkLocks* locks);
void HeapAfterForkInParent();
void HeapAfterForkInChild();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_HEAP_HEAP_H_
