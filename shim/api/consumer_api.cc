// The C API of spill hooks (taskmem.h): checks its arguments and forwards.
#define TASKMEM_IMPLEMENTATION
#include "shim/books/task_registry.h"
#include "shim/heap/heap.h"
#include "shim/published/stats_segment.h"
#include "shim/spilling/spill_host.h"
#include "shim/taskmem.h"
#include "spill/hooks/spill_hooks.h"

using namespace taskmem;

namespace {

static_assert(sizeof(taskmem_spill_fn) == sizeof(SpillCallback));

// A live task, by its id or as this thread's own.
bool FindTaskOf(uint64_t id, CurrentTask* task) {
  if (id == TASKMEM_CURRENT_TASK) {
    *task = GetCurrentTask();
    return task->slot >= kFirstTaskSlot;
  }
  const uint32_t slot = FindTask(id);
  if (slot == kUntrackedSlot) return false;
  *task = TaskInSlot(id, slot);
  return g_books[slot].task_id.load() == id;
}

bool HasEnded(const CurrentTask& task) {
  return g_task_slots[task.slot].generation.load(std::memory_order_seq_cst) != task.generation;
}

bool AreValid(const taskmem_consumer_options* options) {
  return options != nullptr && options->size >= sizeof(taskmem_consumer_options) &&
         options->spill != nullptr &&
         (options->mode == TASKMEM_OFF_HEAP || options->mode == TASKMEM_ON_HEAP) &&
         (options->run_on == TASKMEM_ALLOCATING_THREAD ||
          options->run_on == TASKMEM_RECLAIMER_THREAD);
}

}  // namespace

extern "C" {

int taskmem_consumer_register(uint64_t id, const taskmem_consumer_options* options,
                              taskmem_consumer* consumer) {
  if (consumer == nullptr || !AreValid(options)) return EINVAL;
  EnterHeap(nullptr);
  const LibraryScope library;
  CurrentTask task;
  if (!FindTaskOf(id, &task)) return ENOENT;
  SpillHooks* const hooks = Hooks(/*make=*/true);
  if (hooks == nullptr) return ENOMEM;
  SpillConsumerOptions wanted;
  wanted.task = SpillTaskOf(task.slot, task.generation);
  wanted.mode = options->mode == TASKMEM_ON_HEAP ? MemoryMode::kOnHeap : MemoryMode::kOffHeap;
  wanted.runs_on = options->run_on == TASKMEM_RECLAIMER_THREAD ? SpillThread::kReclaimer
                                                               : SpillThread::kAllocating;
  wanted.spill = options->spill;
  wanted.context = options->context;
  wanted.name = options->name;
  wanted.used_bytes = options->used_bytes;
  if (const int error = hooks->Register(wanted, consumer)) return error;
  // The end of a task unregisters what it finds: what came after that goes here.
  if (!HasEnded(task)) return 0;
  hooks->Unregister(*consumer);
  *consumer = 0;
  return ENOENT;
}

int taskmem_consumer_unregister(taskmem_consumer consumer) {
  const LibraryScope library;
  SpillHooks* const hooks = Hooks(/*make=*/false);
  return hooks != nullptr ? hooks->Unregister(consumer) : ENOENT;
}

int taskmem_consumer_report(taskmem_consumer consumer, uint64_t used_bytes) {
  SpillHooks* const hooks = Hooks(/*make=*/false);
  return hooks != nullptr ? hooks->Report(consumer, used_bytes) : ENOENT;
}

int taskmem_thread_consumer(taskmem_consumer consumer, taskmem_consumer* previous) {
  SpillHooks* const hooks = Hooks(/*make=*/false);
  uint64_t used = 0;
  if (consumer != 0 && (hooks == nullptr || hooks->ReadUsed(consumer, &used) != 0)) return ENOENT;
  if (previous != nullptr) *previous = t_consumer;
  t_consumer = consumer;
  return 0;
}

}  // extern "C"
