// Page numbers of tasks, and addresses encoded with them (accounting/tasks/page_table.h).
//
// Numbers are given to pages callers allocate through the API, and to any other page of a
// task when somebody first encodes an address in it. Where such a page was given back by the
// allocator, its number is found unused and taken again when numbers run short: free() knows
// nothing of them.
//
// Thread-safe; one mutex, taken after the registry's, held for look-ups alone.
#ifndef TASKMEM_SHIM_TASKS_TASK_PAGES_H_
#define TASKMEM_SHIM_TASKS_TASK_PAGES_H_

#include <cstdint>

#include "shim/heap/heap.h"

namespace taskmem {

struct TaskPage {
  uint32_t number;
  uint64_t serial;
};

// Makes the block at `start`, which `task` owns, a page. 0, ENOSPC, ENOMEM, or ENOENT: the
// task has ended.
int AddPage(const CurrentTask& task, char* start, TaskPage* page);

// 0, or EINVAL: no such page. The caller frees the block.
int RemovePage(char* start, uint64_t serial);

// 0, ENOSPC, ENOMEM, or ENOENT: `place`, a block that contains `address`, is no live task's.
int EncodeInPage(const BlockPlace& place, const void* address, uint64_t* encoded);

// nullptr: the task has no page of that number.
char* DecodeInPages(uint32_t slot, uint64_t encoded);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_TASKS_TASK_PAGES_H_
