// What the allocator asks of the parts of the library that stand above it. A call goes upwards only
// through this header; who answers stands in brackets.
#ifndef TASKMEM_SHIM_HEAP_UPCALLS_H_
#define TASKMEM_SHIM_HEAP_UPCALLS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "accounting/audit/audit_layout.h"
#include "accounting/base/mutex.h"
#include "shim/books/current_task.h"
#include "shim/books/fold.h"

// operator new where the memory is refused: new handlers, then an exception (operator_new.cc).
extern "C" void* TaskmemNewSlow(size_t size);

namespace taskmem {

// --- What others ask of this process (requests.cc).

// Carries out what HasRequest (stats_segment.h) told of, unless another thread does, or this one
// was interrupted where it cannot be done. May be called amid an allocation, with no lock held.
// Keeps errno.
void AnswerRequest();
// For the library's own threads: does that until the deadline, when it returns.
void AnswerRequestsUntil(int64_t deadline_ns);

// --- Threads (thread_tasks.cc).

// Whose code made a thread (pool_makers.h).
enum class ThreadMaker : uint8_t {
  kProgram,
  kPassing,  // a library through which others make threads
  kPool,     // one with a pool of threads that serves everybody
  kTeam      // one whose threads serve the thread that made them
};

// What a new thread gets from its creator.
struct ThreadBirth {
  CurrentTask task;
  uint64_t stack_bytes = 0;  // that its stack surely has
  bool is_taskmems = false;  // a thread of the library: of no task, whatever the options say
  ThreadMaker maker = ThreadMaker::kProgram;
  uint32_t maker_entry = 0;  // the creator's ThreadEntry and number
  uint32_t maker_tid = 0;
};

// Called once a thread has a context: attaches it to the task that its birth and
// --task-by give it.
void ThreadEntered();

// The thread was renamed by another: called by it, at its next slow path.
void RecheckThreadName();

// The thread is one of an engine's pool: called by it at its slow path and by mapping calls, gives
// it the task that it works for now (pool_threads.cc).
void LookAtPoolThread();

// --- Free segments that are kept (kept_thread.cc).

// There is a thread that lets go of them in time (segments/kept_segments.h): it runs, or is
// started. May be called amid an allocation, with no lock held.
bool AwaitsKeptSegments();

// --- Addresses that free() and realloc() are given and the library never handed out (foreign.cc).

// Forwards to glibc where the block is glibc's; otherwise one line, no crash.
void ForeignFree(void* block);
// nullptr with ENOMEM where it is nobody's.
void* ForeignRealloc(void* block, size_t size);
size_t ForeignUsableSize(void* block);

// One line: `block` is free already.
void ReportDoubleFree(const void* block);

// --- fork() (fork.cc).

// This thread holds one of the locks that fork takes: a signal handler has interrupted it there.
bool HoldsForkLocks();

// In the child of a fork that ran no handlers: threads that held a lock do not exist here.
void FreeLocksOfOtherThreads();

// --- The program's mappings (mapping_call.cc, mapping_queries.cc).

// In a forked child, once: what it has not inherited is no more, and shared memory is the
// parent's. Not from inside the lock.
void AdaptMappingsAfterFork();

// The slots of `from` are given to others: what they map belongs to `to`.
void FoldMappings(const SlotSet& from, uint32_t to);

// Adds what the mappings of each slot are charged with.
void AddMappedBytes(uint64_t* bytes_by_slot);

// Whether the program mapped `address`, and who is or would be charged.
bool OwnerOfMapping(const void* address, uint32_t* slot);

// For readers in other processes: where the ranges and the libraries are.
void DescribeMappings(AuditLayout* layout);

// This thread is amid a call that maps or unmaps: a signal handler may ask.
bool IsAmidMappingCall();

// --- What is charged by residency (residency_look.cc, residency_ranges.cc).

// Looks at it, unless another thread does, where the interval has passed; or, where `is_urgent`,
// 0.1 ms and 4 t (residency_look.h). No lock may be held.
void SampleResidencyIfDue(bool is_urgent);

// Looks, after another thread that does has ended its look: what was in memory when this is
// called is charged when it returns. No lock may be held.
void SampleResidencyNow();

// Of [start, end), in memory now. Bytes; holes have none.
uint64_t ResidentBytes(uint64_t start, uint64_t end);

// --- Spill hooks (spill_host.cc).

// --spill-timeout: what an allocation may wait in all for hooks of other threads.
int64_t SpillTimeoutNs();

// An allocation of this thread that finds too little.
struct SpillNeed {
  uint32_t slot;
  uint32_t generation;
  uint64_t bytes;
  int64_t* wait_left_ns;         // how long it may wait for other threads; lowered by what it did
  bool (*serve)(void* request);  // tries again: true where it has been served
  void* request;
};

// Asks the consumers of the task, until the allocation is served. Returns by how much the books
// went down, at least 1 where another thread's spill was awaited, of which they need not show
// anything; 0 may mean that small blocks became free which have served the request. Called with
// no lock held, amid an allocation (ThreadState::busy): afterwards the thread's pair, its heap and
// the task may be others. Not for threads that are exempt or inside a hook.
uint64_t SpillConsumers(const SpillNeed& need);

// Somebody has registered a hook in this process.
bool HasSpillHooks();

// --soft-limit; 0: none.
extern uint32_t g_soft_limit_percent;
// An allocation for the task in `slot` has been served: where the task is above its soft limit
// now, a reclaimer is told, once. Only while g_soft_limit_percent is not 0.
void NoteSoftLimit(uint32_t slot);

// --- What a refusal is told to (refusal_api.cc).

struct RefusalNote {
  uint64_t task;
  uint32_t slot;
  uint64_t request_bytes;
  uint64_t charged_bytes;
  uint64_t quota_bytes;
  const char* text;
};

// The program has asked to be told.
extern std::atomic<bool> g_tells_refusals;
// Calls the program's function with the text, to which it adds the task's largest sites, as a spill
// hook is called: with no lock held, amid an allocation.
void TellRefusal(const RefusalNote& note);
// "12.0 MiB by inflate < read_rows (libz.so.1)": the code that holds most of what the task in
// `slot` has. Returns the length of what was written, 0 where nothing is known. No lock may be
// held.
size_t DescribeLargestSite(uint32_t slot, char* text, size_t text_bytes);

// --- Page numbers of tasks (task_pages.cc).

// For fork().
Mutex& TaskPagesMutex();

// --- The overflow file (overflow.cc).

// Whether a request of `bytes` of the task in `slot` may go there now. Cheap.
bool OverflowUsable(uint32_t slot, uint64_t bytes);

// Memory for a segment of the allocator: zeroed, as OverflowFile::Allocate. nullptr: the
// file does not give it; where that is news one line says why.
void* TakeOverflowSegment(size_t bytes, size_t alignment, size_t align_offset);
// For one that may be smaller, as OverflowFile::AllocateBetween: `bytes` becomes less than it is,
// `least` at least.
void* TakeOverflowSegment(size_t* bytes, size_t least, size_t alignment);
void ReleaseOverflowSegment(void* start, size_t bytes);
// One that grows where it is (false: the file does not give it, or others are behind it), and
// one that gives back its end. `bytes`: the new size.
bool ExtendOverflowSegment(void* start, size_t old_bytes, size_t bytes);
void ShrinkOverflowSegment(void* start, size_t old_bytes, size_t bytes);

// A block, or a page of blocks, has been taken in it.
void NoteTakenInOverflow(uint32_t slot, uint64_t bytes);

// Around fork(), with the allocator's locks held in the first two. The parent's fork() ends
// when the child has copied what it inherits.
void OverflowBeforeFork();
void OverflowAfterForkInParent();
}  // namespace taskmem

#endif  // TASKMEM_SHIM_HEAP_UPCALLS_H_
