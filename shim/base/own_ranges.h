// Which address ranges are the library's own, for the audit (accounting/audit/audit_layout.h).
#ifndef TASKMEM_SHIM_BASE_OWN_RANGES_H_
#define TASKMEM_SHIM_BASE_OWN_RANGES_H_

#include <cstddef>
#include <cstdint>

#include "accounting/audit/audit_layout.h"

namespace taskmem {

// What is beyond that is counted (NoteOwnBytes) but not listed.
inline constexpr uint32_t kMaxOwnRanges = 8192;

extern OwnRange g_own_ranges[kMaxOwnRanges];
extern std::atomic<uint32_t> g_own_range_count;

// All lock-free, callable at any time.

// Lists a mapping that is never unmapped.
void NoteOwnRange(const void* start, size_t bytes);

// Lists one that may be: ForgetOwnRange, before it is unmapped, with the same range.
void NotePassingRange(const void* start, size_t bytes);
void ForgetOwnRange(const void* start, size_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BASE_OWN_RANGES_H_
