// The ranges that are charged by residency, and how much of each is in memory, by asking the
// kernel.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_RANGES_H_
#define TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_RANGES_H_

#include <cstdint>

#include "shim/heap/upcalls.h"
#include "shim/mapping_book/mapping_queries.h"

namespace taskmem {

// Of [start, end), a private mapping of a file: the bytes that have been written to and are in
// memory. All of it, where the system does not say. System calls; no lock is needed.
uint64_t WrittenBytes(uint64_t start, uint64_t end);

// May be mapped at other places too, also of other processes.
inline bool IsShared(const MappingTag& tag) {
  return tag.kind == MappingClass::kSharedAnonymous || tag.kind == MappingClass::kSystemV;
}

// In memory, of a range that is not shared: what it is charged. Of one that is, the pages here.
inline uint64_t BytesInMemory(const MappedRange& range) {
  return range.tag.kind == MappingClass::kFilePrivate ? WrittenBytes(range.start, range.end)
                                                      : ResidentBytes(range.start, range.end);
}

// visit(range) for each range that is charged by residency, cut to [from, end). No lock may be
// held, and none is while visit runs.
template <typename Visit>
void ForEachByResidency(uint64_t from, uint64_t end, Visit visit) {
  constexpr uint32_t kRangesAtOnce = 8;
  MappedRange ranges[kRangesAtOnce];
  while (const uint32_t count = ReadMappings(from, ranges, kRangesAtOnce)) {
    for (uint32_t i = 0; i < count; ++i) {
      MappedRange& range = ranges[i];
      if (range.start >= end) return;
      if (range.start < from) range.start = from;
      from = range.end;
      if (range.end > end) range.end = end;
      if (range.tag.rule == ChargeRule::kResidency) visit(range);
    }
  }
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_RANGES_H_
