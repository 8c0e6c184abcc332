// This process's stats segment (accounting/audit/stats_layout.h), and whose books are in it: this
// process's, or those of the process that forked it. The books inside are the books: nothing is
// copied to publish them.
//
// Private memory at first, so that charges made before any constructor are kept; stats_publish.h
// puts a file in its place. The address never changes.
#ifndef TASKMEM_SHIM_PUBLISHED_STATS_SEGMENT_H_
#define TASKMEM_SHIM_PUBLISHED_STATS_SEGMENT_H_

#include "accounting/audit/event_ring.h"
#include "accounting/audit/stats_layout.h"

namespace taskmem {

extern StatsHeader* g_stats;
extern ThreadEntry* g_thread_entries;
extern TaskBook* g_books;
extern ReclaimBook* g_reclaim_books;
extern MappingsTable* g_mappings_table;
extern AllocatorsTable* g_allocators_table;
extern EventRing* g_events;

// Whose the books are. A child's are made when it first needs them (books/after_fork.h).
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
  std::atomic<bool> has_kept_thread;       // kept_thread.cc
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

// The memory belongs to another process: the calling one is a child of vfork.
bool IsVforkChild();

// Somebody asks this process to change something (process_request.h): AnswerRequest (upcalls.h).
inline bool HasRequest() {
  return __builtin_expect(
      g_stats->request.state.load(std::memory_order_relaxed) == RequestState::kAsked, 0);
}

// Counts and lists memory mapped for the library itself. Callable before StatsOpen.
void NoteOwnBytes(const void* start, uint64_t bytes);
// What the books say of that is the parent's in a forked child at first.
void StatsCorrectOwnBytes();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PUBLISHED_STATS_SEGMENT_H_
