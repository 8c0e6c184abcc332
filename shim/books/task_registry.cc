#include "shim/books/task_registry.h"

#include <errno.h>

#include <cstring>

#include "accounting/base/mutex.h"
#include "shim/books/fold.h"
#include "shim/books/pools.h"
#include "shim/published/events.h"
#include "shim/published/stats_room.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

// Zero pages until used: a constructor would touch all of them in every process.
constinit TaskSlot g_task_slots[kMaxTaskSlots];
std::atomic<uint32_t> g_live_tasks{0};

namespace {

constexpr uint32_t kBuckets = 65536;
constexpr uint32_t kSlotsAhead = 8;
constexpr uint32_t kNone = 0;  // slot 0 is never in a list
Mutex g_mutex;
uint32_t g_buckets[kBuckets];  // live tasks by id
uint32_t g_free = kNone;
uint32_t g_retained_oldest = kNone;
uint32_t g_retained_newest = kNone;
uint32_t g_retained = 0;
uint32_t g_sweep_above = kMaxRetainedTasks;
uint32_t g_slots = kFirstTaskSlot;  // ever used

uint32_t& BucketOf(uint64_t id) { return g_buckets[(id * 0x9e3779b97f4a7c15u) >> 48]; }

void ShowIdentity(uint32_t slot) {
  const TaskSlot& task = g_task_slots[slot];
  TaskBook& book = g_books[slot];
  book.sequence.fetch_add(1, std::memory_order_acq_rel);
  book.task_id.store(task.id, std::memory_order_relaxed);
  memcpy(book.name, task.name, sizeof(book.name));
  book.state.store(task.state, std::memory_order_relaxed);
  book.sequence.fetch_add(1, std::memory_order_acq_rel);
}

void WriteIdentity(uint32_t slot, uint64_t id, const char* name, TaskState state) {
  TaskSlot& task = g_task_slots[slot];
  task.id = id;
  task.state = state;
  if (name != nullptr) {
    const size_t length = strnlen(name, TaskBook::kNameBytes - 1);
    memset(task.name, 0, sizeof(task.name));
    memcpy(task.name, name, length);
  }
  ShowIdentity(slot);
}

uint32_t FindLocked(uint64_t id) {
  for (uint32_t slot = BucketOf(id); slot != kNone; slot = g_task_slots[slot].next) {
    if (g_task_slots[slot].id == id) return slot;
  }
  return kNone;
}

void Retain(uint32_t slot) {
  g_task_slots[slot].next = kNone;
  if (g_retained_newest != kNone) {
    g_task_slots[g_retained_newest].next = slot;
  } else {
    g_retained_oldest = slot;
  }
  g_retained_newest = slot;
  ++g_retained;
}

void Release(uint32_t slot) {
  TaskBook& book = g_books[slot];
  g_stats->tasks_folded.fetch_add(1, std::memory_order_relaxed);
  // The slot's counters end here; what cannot be derived from its blocks is kept.
  TaskBook& ended = g_books[kEndedTasksSlot];
  ended.refusals.fetch_add(book.refusals.load());
  ended.overdrafts.fetch_add(book.overdrafts.load());
  g_reclaim_books[kEndedTasksSlot].AddEventsOf(g_reclaim_books[slot]);
  ForgetInPools(slot);
  WriteIdentity(slot, 0, "", TaskState::kFree);
  g_task_slots[slot].next = g_free;
  g_free = slot;
}

// Takes the oldest retained tasks off the list until `keep` are left: folds what
// they own, releases those that nothing refers to any more, and keeps the others.
void SweepLocked(uint32_t keep) {
  if (g_retained <= keep) return;
  static SlotSet in_use;  // both under g_mutex: too large for a small stack
  static SlotSet fold;
  in_use.Clear();
  fold.Clear();
  const uint32_t threads = g_stats->thread_entries.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < threads; ++i) {
    const uint32_t slot_plus_one =
        g_thread_entries[i].slot_plus_one.load(std::memory_order_relaxed);
    if (slot_plus_one != 0) in_use.Add(slot_plus_one - 1);
  }
  const uint32_t count = g_retained - keep;
  uint32_t slot = g_retained_oldest;
  for (uint32_t i = 0; i < count; ++i, slot = g_task_slots[slot].next) fold.Add(slot);
  FoldOwners(fold, kEndedTasksSlot);
  slot = g_retained_oldest;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t next = g_task_slots[slot].next;
    g_retained_oldest = next;
    if (next == kNone) g_retained_newest = kNone;
    --g_retained;
    // Pages that are still the task's own cannot be folded by another thread.
    if (g_books[slot].charged_bytes.load(std::memory_order_acquire) != 0 ||
        g_reclaim_books[slot].overflow_bytes.load(std::memory_order_acquire) != 0 ||
        in_use.Contains(slot)) {
      Retain(slot);
    } else {
      Release(slot);
    }
    slot = next;
  }
  // A sweep walks every page: where few could be released, the next is as far.
  g_sweep_above = g_retained + (kMaxRetainedTasks - kRetainedAfterFold);
}

uint32_t TakeSlotLocked() {
  if (g_free == kNone) {
    const uint32_t slot = g_slots;
    if (slot < kMaxTaskSlots) {
      g_slots = slot + 1;
      g_stats->task_slots.store(slot + 1, std::memory_order_release);
      return slot;
    }
    SweepLocked(0);
    if (g_free == kNone) return kNone;
  }
  const uint32_t slot = g_free;
  g_free = g_task_slots[slot].next;
  return slot;
}

}  // namespace

int BeginTask(uint64_t id, uint64_t quota_bytes, const char* name, bool always_hot,
              uint32_t* slot_out) {
  if (id >= kSharedId) return EEXIST;
  // The file grows before the lock is taken, again where others have used that up meanwhile.
  const auto reserve = [] { StatsReserveTasks(g_stats->task_slots.load() + kSlotsAhead); };
  reserve();
  MutexLock lock(g_mutex);
  while (g_free == kNone && g_slots < kMaxTaskSlots && !StatsHasRoomForTasks(g_slots + 1)) {
    g_mutex.Unlock();
    reserve();
    g_mutex.Lock();
  }
  if (FindLocked(id) != kNone) return EEXIST;
  if (g_retained > g_sweep_above) SweepLocked(kRetainedAfterFold);
  const uint32_t slot = TakeSlotLocked();
  if (slot == kNone) return EAGAIN;
  TaskSlot& task = g_task_slots[slot];
  task.first_thread.store(0, std::memory_order_relaxed);
  task.has_more_threads.store(false, std::memory_order_relaxed);
  task.always_hot = always_hot;
  TaskBook& book = g_books[slot];
  book.peak_charged_bytes.store(0, std::memory_order_relaxed);
  book.peak_overdraft_bytes.store(0, std::memory_order_relaxed);
  book.pages.store(0, std::memory_order_relaxed);
  book.refusals.store(0, std::memory_order_relaxed);
  book.overdrafts.store(0, std::memory_order_relaxed);
  g_reclaim_books[slot].Reset();
  ++task.begun;
  task.quota_bytes = quota_bytes;
  book.quota_bytes.store(quota_bytes, std::memory_order_relaxed);
  book.granted_bytes.store(GrantAtBegin(), std::memory_order_relaxed);
  // Before it can be seen: who reads both finds no task that did not begin.
  if (IsRecorded()) WriteEvent(EventKind::kTaskBegin, slot, id, 0, 0, quota_bytes, 0);
  WriteIdentity(slot, id, name != nullptr ? name : "", TaskState::kLive);
  uint32_t& bucket = BucketOf(id);
  task.next = bucket;
  bucket = slot;
  g_stats->tasks_begun.fetch_add(1, std::memory_order_relaxed);
  g_live_tasks.fetch_add(1, std::memory_order_relaxed);
  *slot_out = slot;
  return 0;
}

int EndTask(uint64_t id, uint32_t* slot_out) {
  uint32_t slot = kNone;
  uint32_t generation = 0;
  {
    MutexLock lock(g_mutex);
    slot = FindLocked(id);
    if (slot == kNone) return ENOENT;
    uint32_t* link = &BucketOf(id);
    while (*link != slot) link = &g_task_slots[*link].next;
    *link = g_task_slots[slot].next;
    const TaskBook& book = g_books[slot];
    NoteEvent(EventKind::kTaskEnd, slot, book.peak_charged_bytes.load(std::memory_order_relaxed),
              book.charged_bytes.load(std::memory_order_relaxed), 0);
    WriteIdentity(slot, id, nullptr, TaskState::kEnded);
    g_live_tasks.fetch_sub(1, std::memory_order_relaxed);
    generation = g_task_slots[slot].generation.fetch_add(1, std::memory_order_seq_cst);
    EndTaskInPools(slot);
    ForgetPages(slot);
    Retain(slot);
  }
  EndSpillConsumers(slot, generation);
  *slot_out = slot;
  return 0;
}

uint32_t FindTask(uint64_t id) {
  MutexLock lock(g_mutex);
  return FindLocked(id);
}

uint32_t FindListedTask(uint64_t id) {
  MutexLock lock(g_mutex);
  uint32_t found = FindLocked(id);
  if (found != kNone) return found;
  for (uint32_t slot = g_retained_oldest; slot != kNone; slot = g_task_slots[slot].next) {
    if (g_task_slots[slot].id == id) found = slot;
  }
  return found;
}

bool ReadTaskIdentity(uint32_t slot, TaskIdentity* identity) {
  MutexLock lock(g_mutex);
  const TaskSlot& task = g_task_slots[slot];
  if (slot < kFirstTaskSlot || task.state == TaskState::kFree) return false;
  *identity = {task.id, task.state, task.begun, {}};
  memcpy(identity->name, task.name, sizeof(identity->name));
  return true;
}

void RenameTask(uint32_t slot, const char* name) {
  MutexLock lock(g_mutex);
  const TaskSlot& task = g_task_slots[slot];
  WriteIdentity(slot, task.id, name, task.state);
}

void SetTaskQuota(uint32_t slot, uint64_t bytes) {
  g_task_slots[slot].quota_bytes = bytes;
  g_books[slot].quota_bytes.store(bytes);
}

Mutex& TaskRegistryMutex() { return g_mutex; }

void TaskRegistryAfterFork() {
  g_stats->task_slots.store(g_slots, std::memory_order_relaxed);
  for (uint32_t slot = kFirstTaskSlot; slot < g_slots; ++slot) {
    TaskBook& book = g_books[slot];
    book.sequence.store(0, std::memory_order_relaxed);
    book.quota_bytes.store(g_task_slots[slot].quota_bytes, std::memory_order_relaxed);
    ShowIdentity(slot);
  }
}

}  // namespace taskmem
