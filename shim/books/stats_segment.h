// This process's stats segment (accounting/audit/stats_layout.h): created, followed
// over fork, and closed. The books inside are the books: nothing is copied to
// publish them.
//
// Until StatsPublish the segment is private memory, so that charges made before
// any constructor are kept. The address never changes.
#ifndef TASKMEM_SHIM_BOOKS_STATS_SEGMENT_H_
#define TASKMEM_SHIM_BOOKS_STATS_SEGMENT_H_

#include "accounting/audit/event_ring.h"
#include "accounting/audit/stats_layout.h"
#include "shim/options/options.h"

namespace taskmem {

extern StatsHeader* g_stats;
extern ThreadEntry* g_thread_entries;
extern TaskBook* g_books;
extern ReclaimBook* g_reclaim_books;
extern MappingsTable* g_mappings_table;
extern AllocatorsTable* g_allocators_table;
extern EventRing* g_events;

// Whose the books are. A child's are made when it first needs them (after_fork.h).
enum class Books : uint32_t {
  kParents,   // a forked child has done nothing yet that concerns them
  kTaking,    // they are being copied
  kUnlisted,  // its own, in no file: nobody else sees them
  kSettled,   // as in a process that nobody forked
};

// What a child of a fork begins without: a page that the kernel clears in every child, however
// that was made. Until StatsOpen a page that says that all is settled.
struct ForkPage {
  std::atomic<Books> books;
  std::atomic<uint32_t> has_mapping_book;  // it is adapted (mapping_call.cc)
  // The process, where fork's handlers have run in it.
  std::atomic<uint32_t> pid;
  // The context of the thread that forked, where they have run.
  std::atomic<void*> context;
};
extern ForkPage* g_fork_page;

inline bool HasOwnBooks() {
  return g_fork_page->books.load(std::memory_order_relaxed) >= Books::kUnlisted;
}

// Maps the segment privately. Once, before anything is charged. False: no memory.
bool StatsOpen();

// Puts the segment into its file. Where that fails the books stay private and
// one line says why.
void StatsPublish(const Options& options);

// In a forked child, before it charges anything: books of its own that start with what the
// parent's say, in no file. Called with the state kTaking, by one thread. False: no memory.
bool StatsAfterFork();

// Puts them into a file, where the parent's were in one. No other thread may use the books
// meanwhile. I/O.
void StatsList();
// They stay what they are, in no file.
void StatsKeepUnlisted();
// A file, whose name others may find, holds them.
bool IsListed();

// Somebody asks this process to change something (process_request.h): AnswerRequest (upcalls.h).
inline bool HasRequest() {
  return __builtin_expect(
      g_stats->request.state.load(std::memory_order_relaxed) == RequestState::kAsked, 0);
}

// The memory belongs to another process: the calling one is a child of vfork.
bool IsVforkChild();

// What was executed, cut; read once.
const char* StatsProgram();
// What people call it, from its command line; before StatsPublish.
void StatsNoteTitle(int argc, const char* const* argv);

// A `taskmem run` waits for the file.
bool StatsOutliveProcess();

// Records what only the process itself can know, where somebody waits for it, or removes the
// file. Does nothing in a vfork child.
void StatsAtExit();

// Instead: the file stays for whoever reads the books that are left over.
void StatsLeaveBehind();

// Makes room in the file for the first `count` slots or entries, before they are
// used: writing into a hole of a full file system would be a SIGBUS. Does I/O.
void StatsReserveTasks(uint32_t count);
void StatsReserveThreads(uint32_t count);
void StatsReserveMappings(uint32_t rows, uint32_t libraries);
void StatsReserveAllocators();  // for all there can be
// Whether that has been done: for those who then take a lock, and find that others were faster.
bool StatsHasRoomForTasks(uint32_t count);
bool StatsHasRoomForThreads(uint32_t count);

// Events for who records this process (accounting/audit/event_ring.h). Called on slow paths only;
// costs a load where nobody records. Callable from anywhere; the caller writes to its own books.
inline bool IsRecorded() {
  return __builtin_expect(g_stats->record_until_ns.load(std::memory_order_relaxed) != 0, 0);
}
// `limit_or_ns`: as the kind has it.
void WriteEvent(EventKind kind, uint32_t slot, uint64_t task_id, uint64_t bytes, uint64_t held,
                uint64_t limit_or_ns, uint32_t flags);
// Of the task in `slot`.
inline void NoteEvent(EventKind kind, uint32_t slot, uint64_t bytes, uint64_t held,
                      uint64_t limit_or_ns, uint32_t flags = 0) {
  if (!IsRecorded()) return;
  WriteEvent(kind, slot, g_books[slot].task_id.load(std::memory_order_relaxed), bytes, held,
             limit_or_ns, flags);
}

// Counts and lists memory mapped for the library itself. Callable before StatsOpen.
void NoteOwnBytes(const void* start, uint64_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_STATS_SEGMENT_H_
