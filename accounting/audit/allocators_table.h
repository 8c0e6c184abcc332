// The allocators that a process has beside taskmem's, in its stats segment: which libraries
// brought them, and whether they were adopted (shim/adopt/adoption.h).
#ifndef TASKMEM_ACCOUNTING_AUDIT_ALLOCATORS_TABLE_H_
#define TASKMEM_ACCOUNTING_AUDIT_ALLOCATORS_TABLE_H_

#include <atomic>
#include <cstdint>

namespace taskmem {

enum class AdoptionState : uint32_t {
  kNone,     // the row is being written
  kAdopted,  // it hands out taskmem's blocks
  kKept,     // it keeps its own memory, which is charged as mappings
  kApart,    // so it does, and is not for tasks: a managed heap, CPython's arenas, work space
};

struct AllocatorRow {
  std::atomic<AdoptionState> state;  // written last
  uint32_t reserved;
  char allocator[16];  // "jemalloc"
  char library[64];    // the file's name, cut
  char functions[32];  // "duckdb_je_*"; empty: they have no names
  char how[96];        // how it was adopted, or why not
  // Of blocks that are adopted and live, with what each may use beyond its request; exact to
  // 64 KiB for each thread.
  std::atomic<int64_t> live_bytes;
};

struct AllocatorsTable {
  static constexpr uint32_t kMaxRows = 64;

  std::atomic<uint32_t> rows;
  std::atomic<uint32_t> more;  // that found no row
  AllocatorRow row[kMaxRows];
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_ALLOCATORS_TABLE_H_
