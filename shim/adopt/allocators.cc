#include "shim/adopt/allocators.h"

#include <stdlib.h>

#include <cstring>

#include "accounting/base/format_text.h"
#include "shim/books/after_fork.h"
#include "shim/published/stats_room.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

bool g_has_python_malloc = false;
bool g_is_kept_charged = true;

template <size_t kBytes>
void Copy(char (&to)[kBytes], const char* from) {
  FormatText(to, kBytes, "%s", from);
}

template <size_t kBytes>
bool IsSame(const char (&field)[kBytes], const char* text) {
  return strncmp(field, text, kBytes - 1) == 0;
}

// The first that is written and that fits(row, state). kNoAllocatorRow: there is none.
template <typename Fits>
uint32_t FindRow(Fits fits) {
  if (g_stats == nullptr) return kNoAllocatorRow;
  const uint32_t rows = g_allocators_table->rows.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < rows && i < AllocatorsTable::kMaxRows; ++i) {
    const AllocatorRow& row = g_allocators_table->row[i];
    const AdoptionState state = row.state.load(std::memory_order_acquire);
    if (state != AdoptionState::kNone && fits(row, state)) return i;
  }
  return kNoAllocatorRow;
}

uint32_t NewRow() {
  StatsReserveAllocators();
  uint32_t index = g_allocators_table->rows.load(std::memory_order_relaxed);
  do {
    if (index >= AllocatorsTable::kMaxRows) {
      g_allocators_table->more.fetch_add(1, std::memory_order_relaxed);
      return kNoAllocatorRow;
    }
  } while (!g_allocators_table->rows.compare_exchange_weak(index, index + 1));
  return index;
}

}  // namespace

void NoteOwnerOfKept(bool is_process_task) { g_is_kept_charged = is_process_task; }

uint32_t ListAllocator(const AllocatorText& text, AdoptionState state) {
  if (g_stats == nullptr) return kNoAllocatorRow;
  EnsureOwnBooks();
  uint32_t index = FindRow([&](const AllocatorRow& row, AdoptionState) {
    return IsSame(row.allocator, text.allocator) && IsSame(row.library, text.library) &&
           (IsSame(row.functions, text.functions) || row.functions[0] == '\0');
  });
  if (index == kNoAllocatorRow) index = NewRow();
  if (index == kNoAllocatorRow) return index;
  AllocatorRow& row = g_allocators_table->row[index];
  row.state.store(AdoptionState::kNone, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  Copy(row.allocator, text.allocator);
  Copy(row.library, text.library);
  Copy(row.functions, text.functions);
  const bool is_nobodys = state == AdoptionState::kKept && !g_is_kept_charged;
  FormatText(row.how, sizeof(row.how), "%s%s", text.how, is_nobodys ? "; charged to no task" : "");
  row.state.store(state, std::memory_order_release);
  return index;
}

void NotePoolOf(const char* library, const char* for_whom) {
  constexpr char kPool[] = "; its pool's threads work for ";
  if (g_stats == nullptr) return;
  EnsureOwnBooks();
  const uint32_t rows = g_allocators_table->rows.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < rows && i < AllocatorsTable::kMaxRows; ++i) {
    AllocatorRow& row = g_allocators_table->row[i];
    const AdoptionState state = row.state.load(std::memory_order_acquire);
    if (state == AdoptionState::kNone || !IsSame(row.library, library)) continue;
    char how[sizeof(row.how)];
    memcpy(how, row.how, sizeof(how));
    // What has been said before is true no more.
    void* const before = memmem(how, sizeof(how), kPool, sizeof(kPool) - 1);
    if (before != nullptr) *static_cast<char*>(before) = '\0';
    FormatText(how + strlen(how), sizeof(how) - strlen(how), "%s%s", kPool, for_whom);
    row.state.store(AdoptionState::kNone, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    Copy(row.how, how);
    row.state.store(state, std::memory_order_release);
  }
}

bool HasAllocators(const char* library) {
  return FindRow([&](const AllocatorRow& row, AdoptionState) {
           return IsSame(row.library, library);
         }) != kNoAllocatorRow;
}

bool HasAllocator(const char* library, const char* allocator) {
  return FindRow([&](const AllocatorRow& row, AdoptionState) {
           return IsSame(row.library, library) && IsSame(row.allocator, allocator);
         }) != kNoAllocatorRow;
}

bool BringsAllocator(const char* library) {
  return FindRow([&](const AllocatorRow& row, AdoptionState state) {
           return state != AdoptionState::kApart && IsSame(row.library, library);
         }) != kNoAllocatorRow;
}

void NotePythonMalloc() {
  const char* const wanted = getenv("PYTHONMALLOC");
  constexpr char kMalloc[] = "malloc";  // or malloc_debug
  g_has_python_malloc = wanted != nullptr && strncmp(wanted, kMalloc, sizeof(kMalloc) - 1) == 0;
}

bool HasPythonMalloc() { return g_has_python_malloc; }

void AddAdoptedBytes(uint32_t row, int64_t bytes) {
  if (row >= AllocatorsTable::kMaxRows) return;
  EnsureOwnBooks();
  g_allocators_table->row[row].live_bytes.fetch_add(bytes, std::memory_order_relaxed);
}

int64_t PostedAdoptedBytes(uint32_t row) {
  if (row >= AllocatorsTable::kMaxRows) return 0;
  return g_allocators_table->row[row].live_bytes.load(std::memory_order_relaxed);
}

}  // namespace taskmem
