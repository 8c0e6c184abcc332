#include "shim/tasks/threads.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <threads.h>

#include <cstdarg>
#include <cstdlib>
#include <cstring>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/fork_locks.h"
#include "shim/base/next_symbol.h"
#include "shim/base/os.h"
#include "shim/books/after_fork.h"
#include "shim/books/own_memory.h"
#include "shim/books/process_task.h"
#include "shim/books/task_registry.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mapping_book/residency_timer.h"
#include "shim/mappings/profiles.h"
#include "shim/own_threads/slack_thread.h"
#include "shim/spilling/block_pins.h"
#include "shim/taskmem.h"
#include "shim/tasks/call_filter.h"
#include "shim/tasks/thread_names.h"

namespace taskmem {
namespace {

constexpr size_t kNameBytes = 16;  // the kernel's
constexpr uint64_t kNoTask = UINT64_MAX;

// Of a task that stands for a process or a thread: apart from ids programs choose.
uint64_t ImplicitId(int process_or_thread) {
  return TASKMEM_IMPLICIT_TASK + static_cast<uint64_t>(process_or_thread);
}

Options g_options;
bool g_started = false;
size_t g_default_stack_bytes = 0;

// The task that this thread began by being or by its name, and ends with.
__thread uint64_t t_own_task __attribute__((tls_model("initial-exec"))) = kNoTask;

// --task-by thread-name: the task that this thread was born with.
__thread CurrentTask t_born_for
    __attribute__((tls_model("initial-exec"))) = {kNoTask, kUntrackedSlot, 0};
// The task that this thread's name has given it.
__thread uint64_t t_named_task __attribute__((tls_model("initial-exec"))) = kNoTask;
// The name that was looked at last, as the system has it, and what is meant by the next
// (WholeNameScope).
__thread char t_seen_name[kNameBytes] __attribute__((tls_model("initial-exec"))) = {};
__thread const char* t_whole_name __attribute__((tls_model("initial-exec"))) = nullptr;

// The library's own: no name makes it work for a task.
__thread bool t_is_taskmems __attribute__((tls_model("initial-exec"))) = false;

CurrentTask Untracked() { return {kNoTask, kUntrackedSlot, 0}; }

CurrentTask LiveTask(uint64_t id) {
  const uint32_t slot = FindTask(id);
  if (slot == kUntrackedSlot) return Untracked();
  return {id, slot, g_task_slots[slot].generation.load(std::memory_order_acquire)};
}

CurrentTask Begin(uint64_t id, const char* name, bool always_hot) {
  uint32_t slot = kUntrackedSlot;
  if (BeginTask(id, g_options.quota_bytes, name, always_hot, &slot) != 0) return Untracked();
  return {id, slot, g_task_slots[slot].generation.load(std::memory_order_acquire)};
}

void EndOwnTask() {
  if (t_own_task == kNoTask) return;
  EnsureSettledBooks();
  uint32_t slot = kUntrackedSlot;
  if (EndTask(t_own_task, &slot) == 0) {
    PokeThreadsOf(slot);
    EndTaskInBlocks(slot);
  }
  t_own_task = kNoTask;
}

// A task of its own for one rename: another live one may have its id already.
CurrentTask BeginForRename(const NamedTask& named) {
  constexpr int kTries = 16;
  CurrentTask task = Begin(named.id, named.name, false);
  for (int i = 0; i < kTries && task.slot == kUntrackedSlot; ++i) {
    task = Begin(NewTaskNumber(), named.name, false);
  }
  return task;
}

CurrentTask FindOrBegin(const NamedTask& named) {
  CurrentTask task = LiveTask(named.id);
  if (task.slot == kUntrackedSlot) task = Begin(named.id, named.name, false);
  if (task.slot == kUntrackedSlot) task = LiveTask(named.id);  // begun by another meanwhile
  return task;
}

// To its creator's task, as --inherit has it.
void AttachAsBorn() { AttachThread(t_born_for, g_options.inherit == Inherit::kAlways); }

// Whether the thread works for the task its name gave it, or has, until that ended.
bool WorksForItsName() {
  if (t_named_task == kNoTask) return false;
  const CurrentTask task = GetCurrentTask();
  return task.id == t_named_task ||
         (task.slot == kUntrackedSlot && FindTask(t_named_task) == kUntrackedSlot);
}

void AttachByName() {
  prctl(PR_GET_NAME, t_seen_name, 0, 0, 0);
  NamedTask named;
  const bool matches = FindNamedTask(t_whole_name != nullptr ? t_whole_name : t_seen_name, &named);
  const bool worked_for_name = WorksForItsName();
  EndOwnTask();
  if (!matches) {
    t_named_task = kNoTask;
    if (worked_for_name) AttachAsBorn();
    return;
  }
  CurrentTask task;
  if (g_options.task_per_rename) {
    task = BeginForRename(named);
    t_own_task = task.id;
  } else {
    task = FindOrBegin(named);
  }
  t_named_task = task.id;
  AttachThread(task, false);
}

void AttachAsThread() {
  char name[kNameBytes] = {};
  prctl(PR_GET_NAME, name, 0, 0, 0);
  const CurrentTask task = Begin(ImplicitId(os::ThreadId()), name, false);
  t_own_task = task.id;
  AttachThread(task, false);
}

void AttachByOptions() {
  switch (g_options.task_by) {
    case TaskBy::kProcess: AttachThread(g_process_task, false); break;
    case TaskBy::kThread: AttachAsThread(); break;
    case TaskBy::kNone: AttachThread(Untracked(), false); break;
    case TaskBy::kThreadName:
      AttachThread(Untracked(), false);
      AttachByName();
      break;
  }
}

void ThreadEnded(void*) {
  EndOwnTask();
  LeaveHeap();
  NoteSlackAtRest();
}

struct StartBlock {
  void* (*start)(void*);
  int (*start_c11)(void*);
  void* argument;
  ThreadBirth birth;
};

// Runs a thread's function between its entry and its end, however it ends: by a
// return, pthread_exit or cancellation. No destructor of glibc's is used for that:
// a pthread key would shift the program's, and registering one for thread_local
// takes the loader's lock, which whoever waits for this thread may hold.
// Destructors that run after this allocate and free as a thread without a context.
template <typename Call>
void RunBlock(void* packed, Call call) {
  const StartBlock block = *static_cast<StartBlock*>(packed);
  OwnFree(packed, sizeof(StartBlock));
  EnterHeap(&block.birth);
  pthread_cleanup_push(ThreadEnded, nullptr);
  call(block);
  pthread_cleanup_pop(1);
}

void* RunThread(void* packed) {
  void* result = nullptr;
  RunBlock(packed, [&](const StartBlock& block) { result = block.start(block.argument); });
  return result;
}

int RunC11Thread(void* packed) {
  int result = 0;
  RunBlock(packed, [&](const StartBlock& block) { result = block.start_c11(block.argument); });
  return result;
}

// Of the stack that a thread with these attributes gets: its guard, glibc's control block and
// thread-local storage take the rest.
uint64_t StackBytes(const pthread_attr_t* attributes) {
  constexpr uint64_t kOthersBytes = 32 * 1024;
  size_t stack_bytes = g_default_stack_bytes;
  size_t guard_bytes = 0;
  if (attributes != nullptr) {
    size_t set_bytes = 0;
    // 0 where the program left it as it is.
    if (pthread_attr_getstacksize(attributes, &set_bytes) != 0) return 0;
    if (set_bytes != 0) stack_bytes = set_bytes;
    if (pthread_attr_getguardsize(attributes, &guard_bytes) != 0) return 0;
  }
  const uint64_t others = guard_bytes + kOthersBytes;
  return stack_bytes > others ? stack_bytes - others : 0;
}

StartBlock* Pack(void* (*start)(void*), int (*start_c11)(void*), void* argument,
                 const pthread_attr_t* attributes = nullptr) {
  auto* block = static_cast<StartBlock*>(OwnAllocate(sizeof(StartBlock)));
  if (block != nullptr) {
    *block = {start, start_c11, argument, {GetCurrentTask(), StackBytes(attributes), false}};
  }
  return block;
}

void ThreadRenamed() {
  // While a name is matched that may allocate, and find that names are to be checked.
  if (!g_started || IsMatchingName() || t_is_taskmems) return;
  const ErrnoKeeper keeper;
  EnsureSettledBooks();
  ExemptIfRuntimeThread();
  if (g_options.task_by == TaskBy::kThreadName) {
    AttachByName();
  } else if (g_options.task_by == TaskBy::kThread && t_own_task != kNoTask) {
    char name[kNameBytes] = {};
    prctl(PR_GET_NAME, name, 0, 0, 0);
    const CurrentTask own = LiveTask(t_own_task);
    if (own.slot != kUntrackedSlot) RenameTask(own.slot, name);
  }
}

template <typename Function>
Function Next(std::atomic<void*>& cache, const char* name) {
  void* function = cache.load(std::memory_order_acquire);
  if (function == nullptr) {
    function = NextSymbol(name);
    cache.store(function, std::memory_order_release);
  }
  return reinterpret_cast<Function>(function);
}

}  // namespace

void ThreadEntered() {
  if (!g_started) return;  // before the constructor: it starts the main thread's tasks
  ExemptIfRuntimeThread();
  const ThreadBirth* birth = CurrentBirth();
  t_is_taskmems = birth != nullptr && birth->is_taskmems;
  if (t_is_taskmems) return;
  if (birth == nullptr || g_options.task_by == TaskBy::kThread ||
      g_options.inherit == Inherit::kNever) {
    AttachByOptions();
    return;
  }
  t_born_for = birth->task;
  AttachAsBorn();
}

void StartTasks(const Options& options) {
  g_options = options;
  pthread_attr_t defaults;
  if (pthread_getattr_default_np(&defaults) == 0) {
    pthread_attr_getstacksize(&defaults, &g_default_stack_bytes);
    pthread_attr_destroy(&defaults);
  }
  if (options.task_by == TaskBy::kThreadName) {
    OpenThreadNames(g_options.thread_name_regex);
  }
  if (options.task_by == TaskBy::kProcess) {
    char name[kNameBytes] = {};
    prctl(PR_GET_NAME, name, 0, 0, 0);
    g_process_task = Begin(ImplicitId(static_cast<int>(g_stats->pid)), name, true);
  }
  g_started = true;
  EnterHeap(nullptr);
  AttachByOptions();
}

void AddThreadLocks(ForkLocks* locks) { locks->Add(ThreadNamesMutex()); }

uint64_t DefaultQuota() { return g_options.quota_bytes; }

bool LooksAtNames() { return g_started && g_options.task_by == TaskBy::kThreadName; }

WholeNameScope::WholeNameScope(const char* name) { t_whole_name = name; }
WholeNameScope::~WholeNameScope() { t_whole_name = nullptr; }

void RecheckThreadName() {
  if (LooksAtNames() && !IsMatchingName()) {
    // It may be another's that has changed, and this one's be known in full.
    const ErrnoKeeper keeper;
    char name[kNameBytes] = {};
    prctl(PR_GET_NAME, name, 0, 0, 0);
    if (strcmp(name, t_seen_name) == 0) return;
  }
  ThreadRenamed();
}

}  // namespace taskmem

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace taskmem;

EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                          void* (*start)(void*), void* argument) noexcept {
  static std::atomic<void*> cache;
  auto* next = Next<decltype(&pthread_create)>(cache, "pthread_create");
  ListBooks();
  StartBlock* block = Pack(start, nullptr, argument, attributes);
  if (block == nullptr) return EAGAIN;
  const int error = next(thread, attributes, RunThread, block);
  if (error != 0) OwnFree(block, sizeof(StartBlock));
  if (error == 0) NoteProgramsThread();
  return error;
}

EXPORT int thrd_create(thrd_t* thread, thrd_start_t start, void* argument) {
  static std::atomic<void*> cache;
  auto* next = Next<decltype(&thrd_create)>(cache, "thrd_create");
  ListBooks();
  StartBlock* block = Pack(nullptr, start, argument);
  if (block == nullptr) return thrd_nomem;
  const int error = next(thread, RunC11Thread, block);
  if (error != thrd_success) OwnFree(block, sizeof(StartBlock));
  if (error == thrd_success) NoteProgramsThread();
  return error;
}

EXPORT int pthread_setname_np(pthread_t thread, const char* name) noexcept {
  static std::atomic<void*> cache;
  auto* next = Next<decltype(&pthread_setname_np)>(cache, "pthread_setname_np");
  const int error = next(thread, name);
  if (error == 0) {
    if (pthread_equal(thread, pthread_self())) {
      ThreadRenamed();
    } else {
      EnsureSettledBooks();
      AskThreadsToCheckTheirNames();
    }
  }
  return error;
}

EXPORT int prctl(int option, ...) noexcept {
  va_list list;
  va_start(list, option);
  unsigned long arguments[4];
  for (unsigned long& argument : arguments) argument = va_arg(list, unsigned long);
  va_end(list);
  const FilterWatch watch(option == PR_SET_SECCOMP,
                          option == PR_SET_SECCOMP && arguments[0] == SECCOMP_MODE_STRICT);
  const long result =
      os::Call(SYS_prctl, option, static_cast<long>(arguments[0]), static_cast<long>(arguments[1]),
               static_cast<long>(arguments[2]), static_cast<long>(arguments[3]));
  if (os::Failed(result)) {
    watch.NoteFailure();
    errno = static_cast<int>(-result);
    return -1;
  }
  if (option == PR_SET_NAME) ThreadRenamed();
  return static_cast<int>(result);
}
