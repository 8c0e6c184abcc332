// The memory of huge segments that were freed just now, kept for the next ones: a block of more
// than 16 MiB that comes back soon costs no page faults. It is slack (slack.h), and
//
//   - no more than was in use before: with it in memory is what was charged at most, and what was
//     in memory at most (charged may have been what never was)
//   - for half a second: a thread lets it go (own_threads/kept_thread.h), so in programs with
//   threads
//   - not over a fork, nor where memory is short, or what `ulimit` lets be mapped
//
//   slot   0     nothing                       written by whoever puts a segment into it
//          word  a segment (kept_segment.h)    exchanged for 0 by whoever takes it, who has it then
//
// No lock. A signal handler may call wherever it interrupts: what it interrupted has its segment in
// a slot or for itself.
#ifndef TASKMEM_SHIM_SEGMENTS_KEPT_SEGMENTS_H_
#define TASKMEM_SHIM_SEGMENTS_KEPT_SEGMENTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "accounting/audit/kept_segment.h"
#include "shim/mimalloc/types.h"

namespace taskmem {

// For readers in other processes.
extern std::atomic<uint64_t> g_kept_segments[KeptSegment::kSlots];

// Such a segment is unmapped when it is freed: the program has changed what its memory is, or it
// was taken for zeros and may have been read only, of which the kernel makes pages that cost more
// to write to than new ones. mimalloc's field is for huge pages, which there are none of.
inline bool& IsNeverKept(mi_segment_t* segment) { return segment->mem_is_large; }

// Of a huge segment that is mapped as WholeWindow(bytes) says, and of which `bytes` are in memory.
// False: it is not kept, and the caller's still.
bool KeepSegmentMemory(void* start, size_t bytes);

// Memory for a huge segment of `bytes`, of which the first slice reads as zeros and the rest as
// anything; cut from what is kept, or extended. nullptr: nothing is kept.
char* TakeKeptSegmentMemory(size_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SEGMENTS_KEPT_SEGMENTS_H_
