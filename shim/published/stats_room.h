// The parts of the stats segment that are used as far as there is something in them: which memory
// of them is backed by the file, and what is in use.
//
// Space is made in the file before a slot or an entry is used: writing into a hole of a full file
// system would be a SIGBUS. Does I/O. Where there is no space that part is private memory instead.
#ifndef TASKMEM_SHIM_PUBLISHED_STATS_ROOM_H_
#define TASKMEM_SHIM_PUBLISHED_STATS_ROOM_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

// Makes room for the first `count`. Callable by several threads at once.
void StatsReserveTasks(uint32_t count);
void StatsReserveThreads(uint32_t count);
void StatsReserveMappings(uint32_t rows, uint32_t libraries);
void StatsReserveAllocators();  // for all there can be
// Whether that has been done: for those who then take a lock, and find that others were faster.
bool StatsHasRoomForTasks(uint32_t count);
bool StatsHasRoomForThreads(uint32_t count);

// For who moves the segment. No other thread uses the books meanwhile.

// Room for what is in use, in the file `fd`, which is mapped at `file`. False: there is no space.
bool ReserveUsedParts(char* file, long fd);
// Copies that to the same places of a segment at `segment`, the header last.
void CopyUsedParts(char* segment);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PUBLISHED_STATS_ROOM_H_
