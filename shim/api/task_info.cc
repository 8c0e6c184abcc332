// The C API that reads the books (taskmem.h), and asks for memory back.
#define TASKMEM_IMPLEMENTATION
#include <cstddef>
#include <cstring>

#include "shim/api/usage.h"
#include "shim/base/memory_limit.h"
#include "shim/books/after_fork.h"
#include "shim/books/slack.h"
#include "shim/books/task_registry.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/published/process_label.h"
#include "shim/published/stats_segment.h"
#include "shim/spilling/spill_host.h"
#include "shim/taskmem.h"

using namespace taskmem;

namespace {

static_assert(TaskBook::kNameBytes == sizeof(taskmem_task_status::name));

// Of the first version of these structures.
constexpr size_t kLeastTaskBytes = sizeof(taskmem_task_status);
constexpr size_t kLeastProcessBytes = sizeof(taskmem_process_status);

// As much of `read` as the caller knows; what it knows beyond is 0.
template <typename Status>
int HandOver(const Status& read, Status* status) {
  const size_t size = status->size;
  char* const to = reinterpret_cast<char*>(status);
  constexpr size_t kBehindSize = sizeof(size_t);
  memcpy(to + kBehindSize, reinterpret_cast<const char*>(&read) + kBehindSize,
         (size < sizeof(read) ? size : sizeof(read)) - kBehindSize);
  if (size > sizeof(read)) memset(to + sizeof(read), 0, size - sizeof(read));
  return 0;
}

void ReadFigures(uint32_t slot, taskmem_task_status* status) {
  ReadUsage(slot, &status->usage);
  const ReclaimBook& book = g_reclaim_books[slot];
  status->overflow_bytes = book.overflow_bytes.load();
  status->peak_overflow_bytes = book.peak_overflow_bytes.load();
  status->pushed_out_bytes = book.pushed_out_bytes.load();
  status->returned_bytes = book.returned_bytes.load();
  status->spill_calls = book.spill_calls.load();
  status->spill_asked_bytes = book.spill_asked_bytes.load();
  status->spill_freed_bytes = book.spill_freed_bytes.load();
  status->evicted_blocks = book.evicted_blocks.load();
  status->evicted_bytes = book.evicted_bytes.load();
  status->stalls = book.stalls.load();
  status->stall_ns = book.stall_ns.load();
  status->longest_stall_ns = book.longest_stall_ns.load();
  status->waits = book.waits.load();
  status->wait_ns = book.wait_ns.load();
}

// False: the slot is free, or was given to another while it was read.
bool ReadTask(uint32_t slot, taskmem_task_status* status) {
  TaskIdentity before;
  TaskIdentity after;
  if (!ReadTaskIdentity(slot, &before)) return false;
  *status = {};
  status->id = before.id;
  memcpy(status->name, before.name, sizeof(status->name));
  status->state = before.state == TaskState::kLive ? TASKMEM_TASK_LIVE : TASKMEM_TASK_ENDED;
  ReadFigures(slot, status);
  return ReadTaskIdentity(slot, &after) && after.begun == before.begun;
}

// A slot that is no task's.
int ReadOther(uint64_t id, uint32_t slot, const char* name, taskmem_task_status* status) {
  taskmem_task_status read = {};
  read.id = id;
  strcpy(read.name, name);
  ReadFigures(slot, &read);
  return HandOver(read, status);
}

}  // namespace

extern "C" {

int taskmem_thread_task(uint64_t* id) {
  if (id == nullptr) return EINVAL;
  *id = GetCurrentTask().id;
  return 0;
}

int taskmem_task_info(uint64_t id, taskmem_task_status* status) {
  if (status == nullptr || status->size < kLeastTaskBytes) return EINVAL;
  EnsureSettledBooks();
  if (id == TASKMEM_UNTRACKED) return ReadOther(id, kUntrackedSlot, "untracked", status);
  if (id == TASKMEM_STORAGE) return ReadOther(id, kStorageSlot, "storage", status);
  if (id == TASKMEM_SHARED) return ReadOther(id, kSharedSlot, "shared by tasks", status);
  if (id == TASKMEM_ENDED_TASKS) return ReadOther(id, kEndedTasksSlot, "ended tasks", status);
  taskmem_task_status read;
  for (;;) {
    const uint32_t slot = FindListedTask(id);
    if (slot == kUntrackedSlot) return ENOENT;
    if (ReadTask(slot, &read) && read.id == id) return HandOver(read, status);
  }
}

int taskmem_tasks_next(uint64_t* cursor, taskmem_task_status* status) {
  if (cursor == nullptr || status == nullptr || status->size < kLeastTaskBytes) return EINVAL;
  EnsureSettledBooks();
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  uint64_t slot = *cursor < kFirstTaskSlot ? kFirstTaskSlot : *cursor;
  taskmem_task_status read;
  for (; slot < slots; ++slot) {
    if (!ReadTask(static_cast<uint32_t>(slot), &read)) continue;
    *cursor = slot + 1;
    return HandOver(read, status);
  }
  return ENOENT;
}

int taskmem_process_info(taskmem_process_status* status) {
  if (status == nullptr || status->size < kLeastProcessBytes) return EINVAL;
  EnsureSettledBooks();
  taskmem_process_status read = {};
  const uint32_t slots = g_stats->task_slots.load(std::memory_order_acquire);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    const uint64_t charged_bytes = g_books[slot].charged_bytes.load();
    read.charged_bytes += charged_bytes;
    read.refusals += g_books[slot].refusals.load();
    // The rest of what --memory bounds is of the pools.
    if (slot < kFirstTaskSlot && slot != kStorageSlot) read.unmanaged_bytes += charged_bytes;
  }
  read.peak_charged_bytes = g_stats->peak_charged_bytes.load();
  if (read.peak_charged_bytes < read.charged_bytes) read.peak_charged_bytes = read.charged_bytes;
  read.untracked_bytes = g_books[kUntrackedSlot].charged_bytes.load();
  const int64_t slack_bytes = g_slack_bytes.load(std::memory_order_relaxed);
  read.slack_bytes = slack_bytes > 0 ? static_cast<uint64_t>(slack_bytes) : 0;
  read.own_bytes = g_stats->own_bytes.load();
  read.resident_bytes = ResidentMemoryBytes();
  const PoolStats& pools = g_stats->pools;
  read.memory_bytes = pools.memory_bytes.load();
  read.execution_bytes = pools.execution_used_bytes.load();
  read.storage_bytes = pools.storage_used_bytes.load();
  read.unmanaged_bytes += pools.slack_bytes.load();
  read.tasks_begun = g_stats->tasks_begun.load();
  return HandOver(read, status);
}

int taskmem_set_label(const char* label) {
  if (label == nullptr) return EINVAL;
  EnsureSettledBooks();
  return SetProcessLabel(label) ? 0 : EAGAIN;
}

int taskmem_task_spill(uint64_t id, uint64_t bytes, uint64_t* freed) {
  if (bytes == 0) return EINVAL;
  EnterHeap(nullptr);
  EnsureSettledBooks();
  const uint32_t slot = FindTask(id);
  if (slot == kUntrackedSlot) return ENOENT;
  const uint64_t lowered = SpillTask(slot, bytes);
  if (freed != nullptr) *freed = lowered;
  return 0;
}

}  // extern "C"
