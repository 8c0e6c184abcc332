// Which tasks exist: ids to slots, begin, end, and what becomes of ended tasks.
//
//   begin    an id gets a free slot
//   end      the id is free again; the slot keeps its charge as "retained"
//   fold     where more than kMaxRetainedTasks have ended, or slots run out, what
//            the oldest own goes to the slot "ended tasks", block by block, sums
//            exact
//   release  once nothing is charged to a folded slot and no thread names it,
//            the slot is free again
//
// All functions are thread-safe; one mutex, never held across I/O or a wait.
#ifndef TASKMEM_SHIM_BOOKS_TASK_REGISTRY_H_
#define TASKMEM_SHIM_BOOKS_TASK_REGISTRY_H_

#include <atomic>
#include <cstdint>

#include "accounting/base/mutex.h"
#include "accounting/tasks/task_book.h"
#include "shim/books/current_task.h"

namespace taskmem {

inline constexpr uint32_t kMaxRetainedTasks = 4096;
inline constexpr uint32_t kRetainedAfterFold = 1024;

// What the library knows of a slot besides its book.
// A power of two in size: malloc's slow path looks for the end of its thread's task.
struct alignas(64) TaskSlot {
  // Grows when the task in the slot ends. A thread that remembers another value
  // works for a task that is no more.
  std::atomic<uint32_t> generation{0};
  // The first thread that worked for the task, as its context's index + 1, and
  // whether there was a second: an end need not look for threads that never were.
  std::atomic<uint32_t> first_thread{0};
  std::atomic<bool> has_more_threads{false};
  // Every thread's blocks go to pages of the task's own at once (the one task
  // of the process, where sharing pages gains nothing).
  bool always_hot = false;
  uint32_t next = 0;  // in a hash bucket, the free list or the retained list
  // What the book says of the task, in memory that a forked child has as it was: the book is
  // the parent's still when the child comes to need it.
  uint64_t id = 0;
  uint64_t quota_bytes = 0;
  TaskState state = TaskState::kFree;
  char name[TaskBook::kNameBytes] = {};
  uint32_t begun = 0;  // how many tasks the slot has been given to
};

extern TaskSlot g_task_slots[kMaxTaskSlots];

// The task of that id, which the slot has now.
inline CurrentTask TaskInSlot(uint64_t id, uint32_t slot) {
  return {id, slot, g_task_slots[slot].generation.load(std::memory_order_acquire)};
}

// How many have begun and not ended.
extern std::atomic<uint32_t> g_live_tasks;

// 0, EEXIST, or EAGAIN when every slot is taken: by a live task, or by an ended
// one that cannot be folded yet.
int BeginTask(uint64_t id, uint64_t quota_bytes, const char* name, bool always_hot, uint32_t* slot);

// 0 or ENOENT. The caller makes the task's threads notice.
int EndTask(uint64_t id, uint32_t* slot);

// The live task's slot, or 0 (untracked): ENOENT to callers of the API.
uint32_t FindTask(uint64_t id);

// The same; where none is live, the one that ended last of those that are listed.
uint32_t FindListedTask(uint64_t id);

// Whose the slot is.
struct TaskIdentity {
  uint64_t id;
  TaskState state;
  uint32_t begun;  // another task in the slot has another number
  char name[TaskBook::kNameBytes];
};
// False: nobody's.
bool ReadTaskIdentity(uint32_t slot, TaskIdentity* identity);

// Changes the name of a live task's slot.
void RenameTask(uint32_t slot, const char* name);

// Changes the quota of a live task's slot.
void SetTaskQuota(uint32_t slot, uint64_t bytes);

// Around fork(). In the child the books of all slots say who they are of, as when it was made;
// nothing else of them does.
Mutex& TaskRegistryMutex();
void TaskRegistryAfterFork();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_TASK_REGISTRY_H_
