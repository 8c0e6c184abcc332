// How a process ends: from here on nothing is refused, and the stats segment is
// closed also where no destructor runs.
#include <stdlib.h>
#include <unistd.h>

#include "shim/base/next_symbol.h"
#include "shim/base/os.h"
#include "shim/heap/heap.h"
#include "shim/mapping_book/mappings_table.h"
#include "shim/mapping_book/residency_look.h"
#include "shim/options/spill_files.h"
#include "shim/process/exit_audit.h"
#include "shim/process/exit_files.h"
#include "shim/published/stats_end.h"
#include "shim/published/stats_place.h"
#include "shim/published/stats_segment.h"
#include "shim/spilling/plugin.h"
#include "shim/tasks/thread_names.h"

namespace taskmem {
namespace {

// Found at the start: to look for them while the process ends takes the loader's
// lock, which somebody may hold for ever.
template <typename Function>
Function Find(void* found_at_start, const char* name) {
  return reinterpret_cast<Function>(found_at_start != nullptr ? found_at_start : NextSymbol(name));
}

void* g_exit = nullptr;
void* g_quick_exit = nullptr;
void* g_abort = nullptr;

void MarkDying() { g_process_is_dying.store(true, std::memory_order_relaxed); }

int (*g_main)(int, char**, char**);

// What main returns is what exit is called with.
int RunMain(int argc, char** argv, char** environment) {
  LoadPlugin();
  const int status = g_main(argc, argv, environment);
  MarkDying();
  return status;
}

// In a vfork child the memory is the parent's, who goes on.
bool IsOwnProcess() {
  if (os::IsSealed()) return g_stats != nullptr;
  return g_stats != nullptr && !IsVforkChild();
}

// A forked child that has charged nothing has no books to close, and has written no files.
void CloseBooks() {
  // As after SIGKILL: readers find the books of a process that is gone.
  if (os::IsSealed()) return;
  if (g_stats == nullptr || !HasOwnBooks() || IsVforkChild()) return;
  SayIfNoNameMatched();
  // Somebody waits to read what it says at the end.
  if (IsListed() && (StatsOutliveProcess() || HasExitAuditor() || HasExitFiles())) {
    SampleResidency();
    PublishMappings(/*with_stacks=*/true);
    AwaitExitAudit();
  }
  const bool has_files = !IsListed() || WriteExitFiles();
  RemoveSpillFiles();
  has_files || StatsOutliveProcess() ? StatsAtExit() : StatsLeaveBehind();
}

[[noreturn]] void EndNow(int status) {
  CloseBooks();
  for (;;) os::Call(SYS_exit_group, status);
}

__attribute__((constructor)) void FindAll() {
  g_exit = NextSymbol("exit");
  g_quick_exit = NextSymbol("quick_exit");
  g_abort = NextSymbol("abort");
}

__attribute__((destructor)) void AtExit() {
  MarkDying();
  CloseBooks();
}

}  // namespace
}  // namespace taskmem

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace taskmem;

EXPORT int __libc_start_main(int (*main)(int, char**, char**), int argc, char** argv,
                             void (*init)(), void (*fini)(), void (*loader_fini)(),
                             void* stack_end) {
  auto* next = reinterpret_cast<decltype(&__libc_start_main)>(NextSymbol("__libc_start_main"));
  g_main = main;
  return next(RunMain, argc, argv, init, fini, loader_fini, stack_end);
}

EXPORT void exit(int status) noexcept {
  if (IsOwnProcess()) MarkDying();
  Find<void (*)(int)>(g_exit, "exit")(status);
  __builtin_unreachable();
}

EXPORT void quick_exit(int status) noexcept {
  if (IsOwnProcess()) MarkDying();
  Find<void (*)(int)>(g_quick_exit, "quick_exit")(status);
  __builtin_unreachable();
}

EXPORT void abort() noexcept {
  if (IsOwnProcess()) MarkDying();
  Find<void (*)()>(g_abort, "abort")();
  __builtin_unreachable();
}

EXPORT void _exit(int status) { EndNow(status); }
EXPORT void _Exit(int status) noexcept { EndNow(status); }
