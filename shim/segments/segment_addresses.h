// Addresses of segments, and the memory behind them.
//
// Of a huge segment at least 32 MiB are mapped: free() takes all addresses in there for ours, so
// nobody else may get them.
#ifndef TASKMEM_SHIM_SEGMENTS_SEGMENT_ADDRESSES_H_
#define TASKMEM_SHIM_SEGMENTS_SEGMENT_ADDRESSES_H_

#include <cstddef>

#include "shim/mimalloc/types.h"

namespace taskmem {

// How much is mapped for a huge segment of `bytes`.
inline size_t WholeWindow(size_t bytes) {
  return bytes > MI_SEGMENT_SIZE ? bytes : MI_SEGMENT_SIZE;
}

// Addresses that nobody else gets, and nothing behind them. The system chooses them, so that
// they are used again. nullptr: there are none.
char* ReserveAligned(size_t bytes, size_t alignment, size_t align_offset, int protection);

// Gives pages back and keeps their addresses. A filter of the program's may forbid madvise, and
// not mmap: then they are mapped anew. False: they are locked, and stay as they are.
bool DropPages(char* start, size_t bytes);

// Asks for huge pages for a segment, but for its end where one would hold more than it has. What is
// in memory already stays in small ones.
void AskForHugePages(char* segment, size_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SEGMENTS_SEGMENT_ADDRESSES_H_
