// The memory of huge segments, which hold one block of more than 16 MiB each.
//
//   | header, 64 KiB | block, as far as it is charged | room to grow, untouched |
//   ^ 32 MiB aligned                                                            ^ mapped so far
//
// Such a segment grows and shrinks by mremap: in place where the addresses behind it are free,
// else to other addresses, without a copy. What is mapped beyond the block is not charged: it
// was never touched, and is what makes a block that grows by little be moved rarely. At least
// 32 MiB are mapped: free() takes all addresses in there for ours, so nobody else may get them.
#ifndef TASKMEM_SHIM_LARGE_HUGE_SEGMENT_H_
#define TASKMEM_SHIM_LARGE_HUGE_SEGMENT_H_

#include <cstddef>

#include "shim/mimalloc/types.h"

namespace taskmem {

char* PageStart(const mi_segment_t* segment);

// What lies between the page's start and the block of an alignment above 16 MiB: not touched,
// and not charged.
size_t UnchargedPrefix(const mi_segment_t* segment);

// The only page of a huge segment.
mi_page_t* HugePage(mi_segment_t* segment);

// Makes a segment larger: with room to grow where that can be had. nullptr: it cannot be.
mi_segment_t* EnlargeSegment(mi_segment_t* segment, size_t least_bytes);

// Gives back what lies behind the first `used_bytes` of a segment.
void TrimSegment(mi_segment_t* segment, size_t used_bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_LARGE_HUGE_SEGMENT_H_
