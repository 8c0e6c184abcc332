#include "shim/published/stats_segment.h"

#include <cstring>

#include "accounting/base/kernel_memory.h"
#include "shim/base/os.h"
#include "shim/base/own_ranges.h"

namespace taskmem {

StatsHeader* g_stats = nullptr;
ThreadEntry* g_thread_entries = nullptr;
TaskBook* g_books = nullptr;
ReclaimBook* g_reclaim_books = nullptr;
MappingsTable* g_mappings_table = nullptr;
AllocatorsTable* g_allocators_table = nullptr;
EventRing* g_events = nullptr;

namespace {
constinit ForkPage g_settled_page = {Books::kSettled, 1, false, 0, nullptr};
}  // namespace
ForkPage* g_fork_page = &g_settled_page;

namespace {

constexpr size_t kPageBytes = 4096;

std::atomic<uint64_t> g_own_bytes{0};

void CountOwnBytes(uint64_t change) {
  const uint64_t bytes = g_own_bytes.fetch_add(change, std::memory_order_relaxed) + change;
  if (g_stats != nullptr && HasOwnBooks()) {
    g_stats->own_bytes.store(bytes, std::memory_order_relaxed);
  }
}

// What accounting/ and spill/ map for themselves.
void ObserveMapping(const void* start, size_t bytes, bool is_mapped) {
  if (is_mapped) {
    NotePassingRange(start, bytes);
    CountOwnBytes(bytes);
  } else {
    ForgetOwnRange(start, bytes);
    CountOwnBytes(-bytes);
  }
}

void OpenBooksOfNoTask() {
  g_stats->task_slots.store(kFirstTaskSlot, std::memory_order_relaxed);
  for (uint32_t slot = 0; slot < kFirstTaskSlot; ++slot) {
    g_books[slot].quota_bytes.store(kNoQuota, std::memory_order_relaxed);
    g_books[slot].granted_bytes.store(kNoPool, std::memory_order_relaxed);
    g_books[slot].task_id.store(UINT64_MAX, std::memory_order_relaxed);
    g_books[slot].state.store(TaskState::kLive, std::memory_order_relaxed);
  }
  const auto name = [](uint32_t slot, const char* text) {
    memcpy(g_books[slot].name, text, strlen(text));
  };
  name(kUntrackedSlot, "untracked");
  name(kEndedTasksSlot, "ended tasks");
  name(kSpillReserveSlot, "spill reserve");
  name(kStorageSlot, "storage");
  name(kSharedSlot, "shared by tasks");
}

}  // namespace

bool StatsOpen() {
  // With a page before it that is no part of the file: g_fork_page. The kernel maps downwards, so
  // that the library's own memory comes to lie beside it: a fork copies one page table for both.
  char* const guard = static_cast<char*>(os::Map(kStatsBytes + kPageBytes, MAP_NORESERVE));
  if (guard == nullptr) return false;
  os::UseSmallPages(guard, kStatsBytes + kPageBytes);
  char* const segment = guard + kPageBytes;
  g_stats = reinterpret_cast<StatsHeader*>(segment);
  g_thread_entries = reinterpret_cast<ThreadEntry*>(segment + kThreadsOffset);
  g_books = reinterpret_cast<TaskBook*>(segment + kTasksOffset);
  g_reclaim_books = reinterpret_cast<ReclaimBook*>(segment + kReclaimOffset);
  g_mappings_table = reinterpret_cast<MappingsTable*>(segment + kMappingsOffset);
  g_allocators_table = reinterpret_cast<AllocatorsTable*>(segment + kAllocatorsOffset);
  g_events = reinterpret_cast<EventRing*>(segment + kEventsOffset);
  StatsCorrectOwnBytes();
  OpenBooksOfNoTask();
  NoteOwnRange(guard, kStatsBytes + kPageBytes);
  g_stats->pid = static_cast<uint32_t>(os::ProcessId());
  auto* const page = reinterpret_cast<ForkPage*>(guard);
  page->books.store(Books::kSettled, std::memory_order_relaxed);
  os::Call(SYS_madvise, reinterpret_cast<long>(guard), kPageBytes, MADV_WIPEONFORK);
  g_fork_page = page;
  g_mapping_observer = ObserveMapping;
  return true;
}

bool IsVforkChild() {
  if (g_stats == nullptr) return false;
  const uint32_t pid =
      HasOwnBooks() ? g_stats->pid : g_fork_page->pid.load(std::memory_order_relaxed);
  // In the child of a fork that ran no handlers nobody knows.
  return pid != 0 && pid != static_cast<uint32_t>(os::ProcessId());
}

void NoteOwnBytes(const void* start, uint64_t bytes) {
  NoteOwnRange(start, bytes);
  CountOwnBytes(bytes);
}

void StatsCorrectOwnBytes() {
  g_stats->own_bytes.store(g_own_bytes.load(), std::memory_order_relaxed);
}

}  // namespace taskmem
