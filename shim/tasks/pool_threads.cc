#include "shim/tasks/pool_threads.h"

#include <algorithm>

#include "accounting/tasks/task_book.h"
#include "shim/books/task_registry.h"
#include "shim/heap/heap.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

constexpr CurrentTask kShared = {kSharedId, kSharedSlot, 0};

PoolThreads g_how = PoolThreads::kSole;
CurrentTask g_background = kUntrackedTask;
std::atomic<bool> g_has_pool_threads{false};

// The thread whose team this thread belongs to: its entry's index + 1, and its number. 0: none.
struct Maker {
  uint32_t entry_plus_one;
  uint32_t tid;
};
__thread Maker t_maker __attribute__((tls_model("initial-exec"))) = {0, 0};

// What it does now, by EnterWork.
__thread CurrentTask t_work __attribute__((tls_model("initial-exec"))) = kUntrackedTask;

CurrentTask TaskIn(uint32_t slot) {
  return TaskInSlot(g_books[slot].task_id.load(std::memory_order_relaxed), slot);
}

bool IsLive(uint32_t slot) {
  return g_books[slot].state.load(std::memory_order_acquire) == TaskState::kLive;
}

bool IsStillThere(const CurrentTask& task) {
  return HasWork(task) &&
         g_task_slots[task.slot].generation.load(std::memory_order_acquire) == task.generation;
}

// False: the thread is in no other's team.
bool TaskOfMaker(CurrentTask* task) {
  if (t_maker.entry_plus_one == 0) return false;
  *task = kUntrackedTask;
  const ThreadEntry& entry = g_thread_entries[t_maker.entry_plus_one - 1];
  const uint32_t slot_plus_one = entry.slot_plus_one.load(std::memory_order_acquire);
  // Its maker may be gone.
  if (entry.tid.load(std::memory_order_relaxed) == t_maker.tid && slot_plus_one > kFirstTaskSlot &&
      IsLive(slot_plus_one - 1)) {
    *task = TaskIn(slot_plus_one - 1);
  }
  return true;
}

// What is looked at at most: beyond that tasks may be missed, but not invented.
constexpr uint32_t kMostThreads = 4096;
constexpr uint32_t kMostTasks = 64;

CurrentTask SoleActiveTask() {
  uint32_t found[kMostTasks];
  uint32_t count = 0;
  const uint32_t threads =
      std::min(g_stats->thread_entries.load(std::memory_order_acquire), kMostThreads);
  for (uint32_t i = 0; i < threads && count < kMostTasks; ++i) {
    const uint32_t slot_plus_one =
        g_thread_entries[i].slot_plus_one.load(std::memory_order_relaxed);
    if (slot_plus_one <= kFirstTaskSlot) continue;
    const uint32_t slot = slot_plus_one - 1;
    if (slot == g_background.slot || IsPoolThread(i) ||
        std::find(found, found + count, slot) != found + count || !IsLive(slot)) {
      continue;
    }
    found[count++] = slot;
  }
  if (count == 1) return TaskIn(found[0]);
  if (count == 0) {
    const bool is_there = g_background.slot >= kFirstTaskSlot && IsLive(g_background.slot);
    return is_there ? g_background : kUntrackedTask;
  }
  g_stats->shared_by_tasks.store(count, std::memory_order_relaxed);
  return kShared;
}

CurrentTask WantedTask() {
  if (IsStillThere(t_work)) return t_work;
  CurrentTask task;
  if (TaskOfMaker(&task)) return task;
  // The one of the process.
  if (g_live_tasks.load(std::memory_order_relaxed) == 1 && g_background.slot >= kFirstTaskSlot &&
      IsLive(g_background.slot)) {
    return g_background;
  }
  return SoleActiveTask();
}

}  // namespace

namespace {
void (*g_about_to_start)(const link_map& library) = nullptr;
}  // namespace

void OnPoolThread(void (*about_to_start)(const link_map& library)) {
  g_about_to_start = about_to_start;
}

void AnnouncePoolThread(const link_map& library) {
  if (g_about_to_start != nullptr) g_about_to_start(library);
}

void OpenPoolThreads(PoolThreads how, const CurrentTask& background) {
  g_how = how;
  g_background = background;
}

void BecomePoolThread(const ThreadBirth& birth) {
  if (birth.maker == ThreadMaker::kTeam) t_maker = {birth.maker_entry + 1, birth.maker_tid};
  AttachThread(kUntrackedTask, false);
  if (g_how == PoolThreads::kUntracked) return;
  MarkPoolThread(true);
  g_has_pool_threads.store(true, std::memory_order_relaxed);
  LookAtPoolThread();
}

void LeavePool() { MarkPoolThread(false); }

bool IsPoolThread() {
  uint32_t entry;
  uint32_t tid;
  return OwnThreadEntry(&entry, &tid) && IsPoolThread(entry);
}

CurrentTask TaskOfWork() {
  if (IsStillThere(t_work)) return t_work;
  return GetCurrentTask();
}

CurrentTask EnterWork(const CurrentTask& task) {
  const CurrentTask before = t_work;
  if (!IsPoolThread()) return before;
  t_work = task;
  LookAtPoolThread();
  return before;
}

// Whom it works for next is looked at when it allocates next.
void LeaveWork(const CurrentTask& before) { t_work = before; }

void LookAtPoolThread() {
  const CurrentTask now = AttachedTask();
  // Inside a spill hook or the like.
  if (now.slot == kSpillReserveSlot || now.slot == kStorageSlot) return;
  const CurrentTask wanted = WantedTask();
  if (wanted.slot == now.slot && wanted.generation == now.generation) return;
  AttachThread(wanted, false);
}

void NoteTasksChanged() {
  if (g_has_pool_threads.load(std::memory_order_relaxed)) PokePoolThreads();
}

}  // namespace taskmem
