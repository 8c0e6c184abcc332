// The stats segment at the end of its process.
#ifndef TASKMEM_SHIM_PUBLISHED_STATS_END_H_
#define TASKMEM_SHIM_PUBLISHED_STATS_END_H_

namespace taskmem {

// A `taskmem run` waits for the file.
bool StatsOutliveProcess();

// Records what only the process itself can know, where somebody waits for it, or removes the
// file. Does nothing in a vfork child, nor where the books are in no file. I/O.
void StatsAtExit();

// Instead: the file stays for whoever reads the books that are left over.
void StatsLeaveBehind();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PUBLISHED_STATS_END_H_
