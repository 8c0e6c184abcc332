// The stats segment of a forked child.
#ifndef TASKMEM_SHIM_PUBLISHED_STATS_FORK_H_
#define TASKMEM_SHIM_PUBLISHED_STATS_FORK_H_

namespace taskmem {

// Before the child charges anything: books of its own that start with what the parent's say, in no
// file. Called with the state kTaking (stats_segment.h), by one thread. False: no memory.
bool StatsAfterFork();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PUBLISHED_STATS_FORK_H_
