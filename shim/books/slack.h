// Slack: memory that is free in the allocator and still in memory. It is nobody's charge, but it
// counts against --memory, is given back first where memory is short, and decays at rest.
//
// Counted in the allocator's own terms: pieces of 64 KiB whose return to the system is put off
// (decommit masks), in the segments of contexts and in the cache of free segments.
#ifndef TASKMEM_SHIM_BOOKS_SLACK_H_
#define TASKMEM_SHIM_BOOKS_SLACK_H_

#include <atomic>
#include <cstdint>

namespace taskmem {

// Of the whole process, at most; in bytes.
extern std::atomic<int64_t> g_slack_bytes;

// What of it stands against --memory: not what threads that run had at the last time all was
// given back, which only they can give.
int64_t CountedSlack();

// Memory is nearly short: from now on, for about a second, each thread gives back its own slack in
// its next slow path, and what it frees at once. Takes no lock.
void NoteMemoryIsNear();

// Memory is short. True: something was given back, of this thread, of those that have ended or
// sleep, and of the cache. No lock may be held.
bool GiveSlackBack();

// Gives back what has been free for about a second in contexts that nobody runs with; all of it
// where `at_once`. Returns how much slack is left that may be given back later, in bytes.
uint64_t DecaySlack(bool at_once);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_SLACK_H_
