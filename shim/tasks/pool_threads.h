// Threads of an engine's pool, which work for whatever query is there (--pool-threads).
//
// With `sole` such a thread works for the task that is active when exactly one is. With several
// active what it allocates stands under "shared by N tasks", of none of them. Whose thread it is
// is looked at on malloc's slow path, by mapping calls, and when a task has begun or ended.
//
// A task is active while a thread that is none of a pool's works for it. The task of the process,
// and with --task-by thread that of the main thread, has what is of no other: it counts where
// there is none.
#ifndef TASKMEM_SHIM_TASKS_POOL_THREADS_H_
#define TASKMEM_SHIM_TASKS_POOL_THREADS_H_

#include <link.h>

#include "accounting/tasks/task_book.h"
#include "shim/books/current_task.h"
#include "shim/heap/upcalls.h"
#include "shim/options/options.h"

namespace taskmem {

// Once, by the constructor, when the main thread has its task, `background`.
void OpenPoolThreads(PoolThreads how, const CurrentTask& background);

// The calling thread, which begins, was made by a library with a pool.
void BecomePoolThread(const ThreadBirth& birth);

// Its name or the program gives it a task: it is the pool's no more.
void LeavePool();

// A task has begun or ended.
void NoteTasksChanged();

// For those who know what a pool's thread does (shim/engines/adapter.h). Called with the library
// whose pool it is, before each of these threads is started.
void OnPoolThread(void (*about_to_start)(const link_map& library));

void AnnouncePoolThread(const link_map& library);

// The calling thread is a pool's.
bool IsPoolThread();

// Whose work the calling thread does, of a pool or not; and whether that is anybody's.
CurrentTask TaskOfWork();
inline bool HasWork(const CurrentTask& task) { return task.slot >= kFirstTaskSlot; }

// From here on the calling thread, if it is a pool's, does work of the task, whatever others are
// active, until LeaveWork with what this returns. They nest. Work of a task that has ended is
// like any other.
CurrentTask EnterWork(const CurrentTask& task);
void LeaveWork(const CurrentTask& before);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_TASKS_POOL_THREADS_H_
