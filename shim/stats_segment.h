// This process's stats segment (accounting/stats_layout.h): created, followed
// over fork, and closed. The books inside are the books: nothing is copied to
// publish them.
//
// Until StatsPublish the segment is private memory, so that charges made before
// any constructor are kept. The address never changes.
#ifndef TASKMEM_SHIM_STATS_SEGMENT_H_
#define TASKMEM_SHIM_STATS_SEGMENT_H_

#include "accounting/stats_layout.h"
#include "shim/options.h"

namespace taskmem {

extern StatsHeader* g_stats;
extern ThreadEntry* g_thread_entries;
extern TaskBook* g_books;
extern ReclaimBook* g_reclaim_books;
extern MappingsTable* g_mappings_table;
// A page the kernel clears in every forked child, however it was made: 0 means
// these books are still the parent's.
extern std::atomic<uint32_t>* g_books_are_ours;

// Maps the segment privately. Once, before anything is charged. False: no memory.
bool StatsOpen();

// Puts the segment into its file. Where that fails the books stay private and
// one line says why.
void StatsPublish(const Options& options);

// In a forked child, before it charges anything: books of its own that start
// with what it inherited, in a file of its own.
void StatsAfterFork();

// Records what only the process itself can know, and removes the file unless a
// `taskmem run` waits for it. Does nothing in a vfork child.
void StatsAtExit();

// Makes room in the file for the first `count` slots or entries, before they are
// used: writing into a hole of a full file system would be a SIGBUS. Does I/O.
void StatsReserveTasks(uint32_t count);
void StatsReserveThreads(uint32_t count);
void StatsReserveMappings(uint32_t rows);

// Counts and lists memory mapped for the library itself. Callable before StatsOpen.
void NoteOwnBytes(const void* start, uint64_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_STATS_SEGMENT_H_
