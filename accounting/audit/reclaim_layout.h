// Where in a process's memory others find its spill consumers and its cached blocks, as
// audit_layout.h has it of the allocator. Both change while they are read: what is read is right
// where its number was the same before and after, and never trusted further.
#ifndef TASKMEM_ACCOUNTING_AUDIT_RECLAIM_LAYOUT_H_
#define TASKMEM_ACCOUNTING_AUDIT_RECLAIM_LAYOUT_H_

#include <cstdint>

namespace taskmem {

// Entries in arrays, which are never unmapped: the k-th has first_entries << k of them.
struct ConsumersLayout {
  uint64_t arrays;  // uint64_t[array_count]: their addresses; 0: from there on there are none
  uint64_t array_count;
  uint64_t first_entries;
  uint64_t entry_bytes;
  uint64_t id_at;      // uint64_t; 0: nobody's. Another's consumer has another one
  uint64_t used_at;    // uint64_t: the low 48 bits are bytes
  uint64_t task_at;    // uint64_t: its slot in the low 32 bits, and whose of those that had it
  uint64_t name_at;    // char[]
  uint64_t thread_at;  // uint8_t: 1: it runs on a thread of taskmem's
  uint64_t call_at;    // uint8_t: 1: a call is queued, 2: it runs
};

// A list from the last used block on.
struct BlocksLayout {
  uint64_t newest;  // address of a uint64_t: of an entry; 0: there is none
  uint64_t entry_bytes;
  uint64_t older_at;  // uint64_t
  uint64_t size_at;   // int64_t: bytes
  uint64_t name_at;   // char[]
};

// The names of both end with a zero byte, within this.
inline constexpr uint64_t kReclaimNameBytes = 128;

// All zero: there is none of a kind.
struct ReclaimLayout {
  ConsumersLayout consumers;
  BlocksLayout blocks;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_RECLAIM_LAYOUT_H_
