#include "shim/mapping_book/mappings_table.h"

#include <atomic>
#include <cstring>

#include "shim/base/os.h"
#include "shim/malloc/pthread_stacks.h"
#include "shim/mapping_book/callers.h"
#include "shim/mapping_book/mapping_queries.h"
#include "shim/published/stats_room.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

static_assert(MappingsTable::kMaxLibraries == MappingTag::kMaxLibraries);
static_assert(MappingsTable::kNameBytes >= Library::kNameBytes);

std::atomic<bool> g_is_writing{false};

void WriteLibraries() {
  MappingsTable& table = *g_mappings_table;
  const uint32_t count = LibraryCount();
  StatsReserveMappings(0, count);
  for (uint32_t i = 0; i < count; ++i) {
    memcpy(table.library[i], LibraryAt(i).name, Library::kNameBytes);
  }
  table.libraries.store(count, std::memory_order_relaxed);
}

void WriteRows() {
  MappingsTable& table = *g_mappings_table;
  constexpr uint32_t kRangesAtOnce = 8;
  MappedRange ranges[kRangesAtOnce];
  uint64_t from = 0;
  uint64_t rows = 0;
  uint64_t more = 0;
  while (const uint32_t count = ReadMappings(from, ranges, kRangesAtOnce)) {
    from = ranges[count - 1].end;
    if (rows + count > MappingsTable::kMaxRows) {
      more += count;
      continue;
    }
    StatsReserveMappings(static_cast<uint32_t>(rows + count), 0);
    for (uint32_t i = 0; i < count; ++i, ++rows) {
      MappedRow& row = table.row[rows];
      row.start.store(ranges[i].start, std::memory_order_relaxed);
      row.end.store(ranges[i].end, std::memory_order_relaxed);
      row.tag.store(ranges[i].tag.Pack(), std::memory_order_relaxed);
    }
  }
  table.rows.store(rows, std::memory_order_relaxed);
  table.more_ranges.store(more, std::memory_order_relaxed);
}

}  // namespace

void PublishMappings(bool with_stacks) {
  if (g_mappings_table == nullptr || IsInsideMappings() ||
      g_is_writing.exchange(true, std::memory_order_acquire)) {
    return;
  }
  StatsReserveMappings(0, 0);
  MappingsTable& table = *g_mappings_table;
  table.sequence.fetch_add(1, std::memory_order_acq_rel);
  WriteLibraries();
  WriteRows();
  table.lost_events.store(LostMappingEvents(), std::memory_order_relaxed);
  if (with_stacks) {
    table.thread_stack_bytes.store(ThreadStackBytes(), std::memory_order_relaxed);
  }
  table.time_ns.store(os::MonotonicNs(), std::memory_order_relaxed);
  table.sequence.fetch_add(1, std::memory_order_acq_rel);
  g_is_writing.store(false, std::memory_order_release);
}

void MappingsTableAfterFork() { g_is_writing.store(false, std::memory_order_relaxed); }

}  // namespace taskmem
