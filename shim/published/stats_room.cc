#include "shim/published/stats_room.h"

#include <errno.h>

#include <atomic>
#include <cstring>

#include "accounting/base/round_up.h"
#include "shim/base/os.h"
#include "shim/published/sparse_space.h"
#include "shim/published/stats_place.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

constexpr size_t kPageBytes = 4096;
// A part has one page at first, and grows by what it has, but at most by this.
constexpr size_t kMostStepBytes = 64 * 1024;

// Backs [offset, offset + bytes) of the file with space, or, where there is
// none, the same part of the segment with private memory.
void Back(size_t offset, size_t bytes) {
  if (ReserveSpace(reinterpret_cast<char*>(g_stats), offset, bytes)) return;
  // The process may have entered another root, or be another user's.
  const long fd = os::IsSealed() ? -EPERM : OpenStatsFile();
  if (!os::Failed(fd)) {
    const bool has_space = ReserveSpaceIn(fd, offset, bytes);
    os::Call(SYS_close, fd);
    if (has_space) return;
  }
  os::Call(SYS_mmap, reinterpret_cast<long>(g_stats) + static_cast<long>(offset),
           static_cast<long>(bytes), PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

struct Part {
  const size_t offset;
  const size_t most_bytes;
  std::atomic<size_t> reserved;

  bool Has(size_t bytes) const { return bytes <= reserved.load(std::memory_order_relaxed); }

  void Reserve(size_t bytes) {
    size_t have = reserved.load(std::memory_order_relaxed);
    while (bytes > have) {
      const size_t step = have == 0 ? kPageBytes : have < kMostStepBytes ? have : kMostStepBytes;
      size_t want = have + RoundUp(bytes - have, step);
      if (want > most_bytes) want = most_bytes;
      if (want <= have) return;
      if (reserved.compare_exchange_weak(have, want, std::memory_order_relaxed)) {
        if (IsListed()) Back(offset + have, want - have);
        return;
      }
    }
  }
};

// The mappings table is two parts: its libraries, and its rows, which begin amid a page.
constexpr size_t kRowsOffset = offsetof(MappingsTable, row) / kPageBytes * kPageBytes;

constinit Part g_threads_part = {kThreadsOffset, kMaxThreads * sizeof(ThreadEntry), 0};
constinit Part g_tasks_part = {kTasksOffset, kMaxTaskSlots * sizeof(TaskBook), 0};
constinit Part g_reclaim_part = {kReclaimOffset, kMaxTaskSlots * sizeof(ReclaimBook), 0};
constinit Part g_libraries_part = {kMappingsOffset, kRowsOffset, 0};
constinit Part g_rows_part = {kMappingsOffset + kRowsOffset,
                              kAllocatorsOffset - kMappingsOffset - kRowsOffset, 0};
constinit Part g_allocators_part = {kAllocatorsOffset, kEventsOffset - kAllocatorsOffset, 0};

size_t UsedTaskBytes() {
  return g_stats->task_slots.load(std::memory_order_relaxed) * sizeof(TaskBook);
}

size_t UsedReclaimBytes() {
  return g_stats->task_slots.load(std::memory_order_relaxed) * sizeof(ReclaimBook);
}

size_t UsedThreadBytes() {
  return g_stats->thread_entries.load(std::memory_order_relaxed) * sizeof(ThreadEntry);
}

// All of the table, once there is an allocator.
size_t UsedAllocatorBytes() {
  const bool has_rows = g_allocators_table->rows.load(std::memory_order_relaxed) != 0;
  return has_rows ? sizeof(AllocatorsTable) : 0;
}

}  // namespace

void StatsReserveTasks(uint32_t count) {
  if (count > kMaxTaskSlots) count = kMaxTaskSlots;
  g_tasks_part.Reserve(count * sizeof(TaskBook));
  g_reclaim_part.Reserve(count * sizeof(ReclaimBook));
}

bool StatsHasRoomForTasks(uint32_t count) {
  return g_tasks_part.Has(count * sizeof(TaskBook)) &&
         g_reclaim_part.Has(count * sizeof(ReclaimBook));
}

void StatsReserveThreads(uint32_t count) {
  if (count > kMaxThreads) count = kMaxThreads;
  g_threads_part.Reserve(count * sizeof(ThreadEntry));
}

bool StatsHasRoomForThreads(uint32_t count) {
  return g_threads_part.Has(count * sizeof(ThreadEntry));
}

void StatsReserveMappings(uint32_t rows, uint32_t libraries) {
  g_libraries_part.Reserve(offsetof(MappingsTable, library) +
                           libraries * sizeof(MappingsTable::library[0]));
  g_rows_part.Reserve(offsetof(MappingsTable, row) - kRowsOffset + rows * sizeof(MappedRow));
}

void StatsReserveAllocators() { g_allocators_part.Reserve(sizeof(AllocatorsTable)); }

bool ReserveUsedParts(char* file, long fd) {
  const auto reserve = [&](size_t offset, size_t bytes) {
    return bytes == 0 || ReserveSpace(file, offset, bytes) || ReserveSpaceIn(fd, offset, bytes);
  };
  const size_t threads = RoundUp(UsedThreadBytes() + 1, kPageBytes);
  const size_t tasks = RoundUp(UsedTaskBytes() + 1, kPageBytes);
  const size_t reclaim = RoundUp(UsedReclaimBytes() + 1, kPageBytes);
  const size_t allocators = RoundUp(UsedAllocatorBytes(), kPageBytes);
  if (!reserve(0, kThreadsOffset + threads) || !reserve(kTasksOffset, tasks) ||
      !reserve(kReclaimOffset, reclaim) || !reserve(kAllocatorsOffset, allocators)) {
    return false;
  }
  g_threads_part.reserved.store(threads, std::memory_order_relaxed);
  g_tasks_part.reserved.store(tasks, std::memory_order_relaxed);
  g_reclaim_part.reserved.store(reclaim, std::memory_order_relaxed);
  // What it said before is said again at the next look.
  g_libraries_part.reserved.store(0, std::memory_order_relaxed);
  g_rows_part.reserved.store(0, std::memory_order_relaxed);
  g_allocators_part.reserved.store(allocators, std::memory_order_relaxed);
  return true;
}

void CopyUsedParts(char* segment) {
  memcpy(segment + kThreadsOffset, static_cast<void*>(g_thread_entries), UsedThreadBytes());
  memcpy(segment + kTasksOffset, static_cast<void*>(g_books), UsedTaskBytes());
  memcpy(segment + kReclaimOffset, static_cast<void*>(g_reclaim_books), UsedReclaimBytes());
  memcpy(segment + kAllocatorsOffset, static_cast<void*>(g_allocators_table), UsedAllocatorBytes());
  memcpy(segment, static_cast<void*>(g_stats), sizeof(*g_stats));
}

}  // namespace taskmem
