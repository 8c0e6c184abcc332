#include "shim/tasks/thread_tasks.h"

#include <sys/prctl.h>

#include <cstring>

#include "accounting/base/errno_keeper.h"
#include "accounting/base/fork_locks.h"
#include "shim/base/os.h"
#include "shim/books/after_fork.h"
#include "shim/books/own_memory.h"
#include "shim/books/process_task.h"
#include "shim/books/task_registry.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mappings/profiles.h"
#include "shim/spilling/block_pins.h"
#include "shim/taskmem.h"
#include "shim/tasks/pool_makers.h"
#include "shim/tasks/pool_threads.h"
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

// The task that this thread began by being or by its name, and ends with.
__thread uint64_t t_own_task __attribute__((tls_model("initial-exec"))) = kNoTask;

// --task-by thread-name: the task that this thread was born with.
__thread CurrentTask t_born_for __attribute__((tls_model("initial-exec"))) = kUntrackedTask;
// The task that this thread's name has given it.
__thread uint64_t t_named_task __attribute__((tls_model("initial-exec"))) = kNoTask;
// The name that was looked at last, as the system has it, and what is meant by the next
// (WholeNameScope).
__thread char t_seen_name[kNameBytes] __attribute__((tls_model("initial-exec"))) = {};
__thread const char* t_whole_name __attribute__((tls_model("initial-exec"))) = nullptr;
// What this thread was started with, until it has named itself.
__thread char* t_birth_name __attribute__((tls_model("initial-exec"))) = nullptr;

// The library's own: no name makes it work for a task.
__thread bool t_is_taskmems __attribute__((tls_model("initial-exec"))) = false;

CurrentTask LiveTask(uint64_t id) {
  const uint32_t slot = FindTask(id);
  if (slot == kUntrackedSlot) return kUntrackedTask;
  return TaskInSlot(id, slot);
}

CurrentTask Begin(uint64_t id, const char* name, bool always_hot) {
  uint32_t slot = kUntrackedSlot;
  if (BeginTask(id, g_options.quota_bytes, name, always_hot, &slot) != 0) return kUntrackedTask;
  NoteTasksChanged();
  return TaskInSlot(id, slot);
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
  const char* const whole = t_whole_name != nullptr ? t_whole_name : t_birth_name;
  const bool matches = FindNamedTask(whole != nullptr ? whole : t_seen_name, &named);
  const bool worked_for_name = WorksForItsName();
  EndTaskOfThread();
  if (!matches) {
    t_named_task = kNoTask;
    if (worked_for_name) AttachAsBorn();
    return;
  }
  LeavePool();
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
    case TaskBy::kNone: AttachThread(kUntrackedTask, false); break;
    case TaskBy::kThreadName:
      AttachThread(kUntrackedTask, false);
      AttachByName();
      break;
  }
}

}  // namespace

void EndTaskOfThread() {
  if (t_own_task == kNoTask) return;
  EnsureSettledBooks();
  uint32_t slot = kUntrackedSlot;
  if (EndTask(t_own_task, &slot) == 0) {
    PokeThreadsOf(slot);
    NoteTasksChanged();
    EndTaskInBlocks(slot);
  }
  t_own_task = kNoTask;
}

void ThreadRenamed() {
  // While a name is matched that may allocate, and find that names are to be checked.
  if (!g_started || IsMatchingName() || t_is_taskmems) return;
  const ErrnoKeeper keeper;
  EnsureSettledBooks();
  ExemptIfRuntimeThread();
  if (g_options.task_by == TaskBy::kThreadName) {
    AttachByName();
    DropBirthName();
  } else if (g_options.task_by == TaskBy::kThread && t_own_task != kNoTask) {
    char name[kNameBytes] = {};
    prctl(PR_GET_NAME, name, 0, 0, 0);
    const CurrentTask own = LiveTask(t_own_task);
    if (own.slot != kUntrackedSlot) RenameTask(own.slot, name);
  }
}

void ThreadEntered() {
  if (!g_started) return;  // before the constructor: it starts the main thread's tasks
  ExemptIfRuntimeThread();
  const ThreadBirth* birth = CurrentBirth();
  t_is_taskmems = birth != nullptr && birth->is_taskmems;
  if (t_is_taskmems) return;
  // Nobody touches its heaps when tasks begin or end, as it may be gone: it looks when it needs
  // memory.
  ThreadBirth unseen = {kUntrackedTask};
  if (birth == nullptr && os::ThreadId() != os::ProcessId()) {
    unseen.maker = FindMakerOfUnseen();
    if (unseen.maker != ThreadMaker::kProgram) birth = &unseen;
  }
  if (birth != nullptr && birth->maker != ThreadMaker::kProgram) {
    t_born_for = birth->task;
    BecomePoolThread(*birth);
    if (g_options.task_by == TaskBy::kThreadName) AttachByName();
    return;
  }
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
  const bool is_background =
      options.task_by == TaskBy::kProcess || options.task_by == TaskBy::kThread;
  OpenPoolThreads(options.pool_threads, is_background ? GetCurrentTask() : kUntrackedTask);
}

void AddThreadLocks(ForkLocks* locks) { locks->Add(ThreadNamesMutex()); }

uint64_t DefaultQuota() { return g_options.quota_bytes; }

bool LooksAtNames() { return g_started && g_options.task_by == TaskBy::kThreadName; }

WholeNameScope::WholeNameScope(const char* name) { t_whole_name = name; }
WholeNameScope::~WholeNameScope() { t_whole_name = nullptr; }

char* CopyBirthName() {
  if (t_whole_name == nullptr) return nullptr;
  auto* copy = static_cast<char*>(OwnAllocate(kWholeNameBytes));
  if (copy != nullptr) strncpy(copy, t_whole_name, kWholeNameBytes - 1);
  return copy;
}

void KeepBirthName(char* copy) { t_birth_name = copy; }

void FreeBirthName(char* copy) {
  if (copy != nullptr) OwnFree(copy, kWholeNameBytes);
}

void DropBirthName() {
  FreeBirthName(t_birth_name);
  t_birth_name = nullptr;
}

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
