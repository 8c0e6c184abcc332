// Thread contexts: what a thread allocates with, and what outlives it.
//
//   Context    segments, one heap whose pages are shared by tasks, and a heap
//              for each (thread, task) pair that allocates much
//   Pair       one task a context has worked for
//   t_thread   the running thread: its context and its current pair
//
// A context belongs to one thread at a time. When the thread ends it is parked,
// and the next new thread adopts it, so no page ever changes owner. The context of
// a thread that sleeps is lent to who collects it (borrow.h). Contexts are never freed.
#ifndef TASKMEM_SHIM_CONTEXTS_CONTEXT_H_
#define TASKMEM_SHIM_CONTEXTS_CONTEXT_H_

#include <atomic>
#include <cstddef>

#include "accounting/audit/sample_clock.h"
#include "shim/books/task_registry.h"
#include "shim/contexts/context_mutex.h"
#include "shim/contexts/runs.h"
#include "shim/mimalloc/types.h"
#include "spill/reclaim/limit_policy.h"

namespace taskmem {

inline constexpr int kBins = MI_BIN_HUGE;  // size classes of blocks up to 128 KiB

// A pair is hot in a size class once it has taken this many blocks of it: about
// 16 KiB, at least 8 blocks.
inline uint8_t HotThreshold(size_t block_size) {
  const size_t blocks = 16 * 1024 / block_size;
  return static_cast<uint8_t>(blocks < 8 ? 8 : blocks > 255 ? 255 : blocks);
}

struct Pair {
  uint64_t id;  // the task's
  struct Context* context;
  Pair* next_of_slot;    // all pairs of the slot's tasks, under a mutex (contexts_of.h)
  Pair** place_of_slot;  // what points to this one in that list; nullptr: it is not on it
  uint32_t slot;
  uint32_t generation;       // TaskSlot::generation when the pair was made
  mi_heap_t* heap;           // pages of its own and leased ones; nullptr until it gets some
  mi_heap_t* overflow_heap;  // its pages lie in the overflow file; nullptr until it needs some
  mi_heap_t* front;      // where malloc looks first: one of the two, the runs, or the empty heap
  Runs* runs;            // blocks of shared pages taken ahead; nullptr until it takes several
  uint8_t single_takes;  // small blocks taken from shared pages one by one; saturates
  bool always_hot;
  bool in_overflow;              // what it allocates next goes there (limit/overflow_heap.h)
  uint8_t shared_blocks[kBins];  // taken from shared pages, by size class; saturates
};

struct PageOwners;

// Pages of any task's blocks (shared_page.h), and large blocks. Pages without a free block are in
// the heap's queue of full ones, until one is freed.
struct SharedPages {
  mi_heap_t heap;
  PageOwners* extendable[kBins];  // that have room which was never in use, by size class
};

// What of a context lies in the overflow file. Segments never serve both.
struct OverflowHeaps {
  mi_tld_t tld;
  SharedPages shared;   // large blocks, and pages of ended tasks
  size_t wanted_bytes;  // what the next segment must have at least, with its head
};
static_assert(offsetof(OverflowHeaps, tld) == 0);

inline constexpr uint32_t kHeldPages = 4;
inline constexpr uint32_t kHeldSmallPages = 12;

// A page of medium blocks that nobody has.
struct HeldSmallPage {
  mi_page_t* page;
  uint32_t used_bytes;  // from its beginning, that blocks lay in
};

struct Context {
  mi_tld_t tld;
  SharedPages shared;
  SharedPages sampled;  // blocks that are samples: apart, so that no page is shared for one's sake
  OverflowHeaps* overflow;  // nullptr until it is needed
  Pair untracked;
  Pair** pairs;  // open addressing by task id; power of two; grows
  uint32_t pair_slots;
  uint32_t pair_count;
  uint32_t index;   // in g_contexts, and of its ThreadEntry
  uint32_t number;  // by which free() tells its segments
  uint32_t entries_since_purge;
  Context* next_parked;
  // Who wanted blocks that were not at hand (pages/take_small.h).
  const Pair* last_pair;    // to be compared only
  const Pair* tenant;       // the last that had leave to take whole pages; nullptr: it is gone
  uint8_t requests_in_row;  // of the last pair; saturates
  Runs* spare_runs;         // of a pair that is gone, for the next
  RunsTable runs;
  std::atomic<bool> is_pool_thread;  // its thread is one of an engine's pool
  bool is_own_threads;               // of threads of the library itself, and of no others

  // Free spans that are in memory (segments/slack.h). Written by whoever has the context.
  std::atomic<int64_t> slack_bytes;
  std::atomic<uint64_t> purge_at_ns;  // when they are looked at; 0: there are none
  uint32_t purge_epoch;               // as of the last time that all were given back
  uint32_t next_held;
  mi_page_t* held_pages[kHeldPages];  // of large blocks that were freed (segments/held_pages.h)
  uint32_t held_small_count;
  HeldSmallPage held_small_pages[kHeldSmallPages];  // the first `held_small_count`

  // Sampling of allocation sites (pages/sampled_blocks.h).
  SampleClock clock;
  uint64_t sample_interval;  // with which the block being allocated was sampled; 0: it was not
  uint64_t due_interval;     // not 0: the next small block is a sample
  struct SiteScratch* site_scratch;
  SampleClock mapping_clock;  // of mappings
  SampleBudget large_samples;

  // The thread it belongs to, while it belongs to one. Changed under the lock.
  struct ThreadState* thread;
  mi_heap_t** default_heap;    // &_mi_heap_default of that thread
  uintptr_t stack_top;         // an address near the base of its stack
  uint64_t known_stack_bytes;  // below it, that are surely the stack's
  std::atomic<int> tid;        // 0: parked
  // Its thread was not started through pthread_create (glibc's own are not): its
  // end is noticed only by looking for it.
  std::atomic<bool> unwatched;

  // borrow.h.
  ContextMutex lock;
  bool is_lent;     // under the lock
  Pair* lent_pair;  // while it is lent: its thread's current one
};

enum class ThreadPhase : uint8_t { kNew, kReady, kEnded };

// Only InsideAllocator (borrow.h) sets it.
class BusyFlag {
 public:
  constexpr BusyFlag() = default;
  operator bool() const { return is_set_; }

 private:
  friend class InsideAllocator;
  bool Set(bool busy) {
    const bool was_set = is_set_;
    is_set_ = busy;
    return was_set;
  }
  bool is_set_ = false;
};

// Numbers of no context: a thread's that has none now, and of segments that belong to no thread.
inline constexpr uint32_t kNoContext = 1;
inline constexpr uint32_t kNobody = 2;
inline constexpr uint32_t kFirstNumber = 3;

struct ThreadState {
  // The context's number, which free() compares with that of a segment's. Another thread may store
  // kNoContext here; `context` is the truth.
  std::atomic<uint32_t> id{kNoContext};
  uint32_t own_number = 0;  // of `context`; 0: there is none
  Context* context = nullptr;
  Pair* pair = nullptr;
  ThreadPhase phase = ThreadPhase::kNew;
  BusyFlag busy;                  // inside the allocator: a signal handler must not re-enter
  bool keeps_ended_task = false;  // --inherit always, and this task was inherited
  bool check_name = false;        // another thread renamed this one, or may have
  bool is_pool = false;           // one of an engine's pool: looks for its task at its slow path
  bool exempt = false;            // nothing is refused to this thread
  bool in_hook = false;           // inside a HookScope (heap.h)
  bool signals_at_start = false;  // SIGSEGV was blocked when the thread began
  bool gives_room = false;        // large blocks it takes get room to grow (large/grow.h)
  bool wants_zeros = false;       // the huge segment it takes must read as zeros
  bool wants_huge_pages = false;  // in segments it takes from the system (HugePages of heap.h)
  int64_t unposted_bytes = 0;     // charged (or, negative, credited), not yet in the total
  RefusalStreak streak;
  const struct ThreadBirth* birth = nullptr;  // upcalls.h; while the thread begins
};

extern __thread ThreadState t_thread __attribute__((tls_model("initial-exec")));

// The calling thread has been given `bytes`.
void NoteServedAfterRefusals(uint64_t bytes);
__attribute__((always_inline)) inline void NoteServed(uint64_t bytes) {
  if (__builtin_expect(!t_thread.streak.IsEmpty(), 0)) NoteServedAfterRefusals(bytes);
}

// No other thread has this thread's context now, nor comes to while it is inside
// the allocator.
inline bool OwnsItsContext(const ThreadState& t) {
  return t.id.load(std::memory_order_relaxed) == t.own_number;
}

// Sets up a pair, a heap of the context's segments or its overflow file's (`tld`), and a whole
// context, of no thread and not listed. nullptr: no memory.
void InitPair(Pair* pair, uint64_t id, uint32_t slot, uint32_t generation);
void InitHeap(Context* context, mi_tld_t* tld, mi_heap_t* heap);
Context* MakeContext();

// The current thread's context, made or adopted, with the task its birth gives
// it. nullptr: no memory, or the thread has ended (allocate with an orphan).
Context* EnterThread();

// Parks the thread's context. The thread may still allocate and free.
void LeaveThread();

// Makes `slot` the task of this thread from now on.
bool SwitchTask(uint64_t id, uint32_t slot, uint32_t generation);

// The pair of (context, task), made where there is none. nullptr: no memory.
Pair* PairFor(Context* context, uint64_t id, uint32_t slot, uint32_t generation);

// Gives up the pages of all pairs whose task has ended: what still lives in them
// is charged block by block, and their free blocks serve every task.
void PurgeEndedPairs(Context* context);

// Gives the heap of `pair` up in that way.
void AbsorbPair(Context* context, Pair* pair);

// From here on malloc looks into `heap` first when it works for `pair`'s task.
void SetFront(Pair* pair, mi_heap_t* heap);

// A heap for `pair`, when it gets hot. False: no memory.
bool MakeHeap(Context* context, Pair* pair);

inline bool HasEnded(const Pair& pair) {
  return g_task_slots[pair.slot].generation.load(std::memory_order_acquire) != pair.generation;
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CONTEXTS_CONTEXT_H_
