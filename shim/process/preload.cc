// The library's start: what happens between ld.so and the program's first line.
//
// Allocation works before this runs, untracked; from here on it belongs to tasks.
#include <unistd.h>

#include <cstdlib>

#include "accounting/base/kernel_memory.h"
#include "shim/adopt/adoption.h"
#include "shim/base/environment.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/base/small_space.h"
#include "shim/base/version.h"
#include "shim/books/pools.h"
#include "shim/engines/engines.h"
#include "shim/glibc/libc.h"
#include "shim/heap/heap.h"
#include "shim/mapping_book/mapping_call.h"
#include "shim/mappings/libc_calls.h"
#include "shim/mappings/profiles.h"
#include "shim/options/log.h"
#include "shim/options/option_table.h"
#include "shim/options/options.h"
#include "shim/options/spill_files.h"
#include "shim/options/variables.h"
#include "shim/overflow/overflow.h"
#include "shim/own_threads/own_thread.h"
#include "shim/process/exit_audit.h"
#include "shim/process/exit_files.h"
#include "shim/process/fork.h"
#include "shim/published/process_label.h"
#include "shim/published/program_name.h"
#include "shim/published/stats_publish.h"
#include "shim/published/stats_segment.h"
#include "shim/sites/sites.h"
#include "shim/spilling/block_store.h"
#include "shim/spilling/plugin.h"
#include "shim/spilling/spill_host.h"
#include "shim/tasks/call_filter.h"
#include "shim/tasks/thread_tasks.h"
#include "shim/tasks/threads.h"

namespace taskmem {
namespace {

constexpr int kBadOptionStatus = 2;

// Once, and not again by the programs that this one starts.
void SaySpaceIsSmall() {
  constexpr char kSaid[] = "TASKMEM_SAID_SPACE_IS_SMALL";
  if (getenv(kSaid) != nullptr) return;
  setenv(kSaid, "1", 0);
  Message("less than %llu MiB of address space are left (ulimit -v): no books, no limits",
          static_cast<unsigned long long>(kLeastAddressSpace >> 20));
}

// What is in force stands in the first line of the log.
void LogStart() {
  if (!Log()->Wants(LogLevel::kInfo)) return;
  char text[1024];
  DescribeSetOptions(text, sizeof(text));
  LogLine(Log(), LogLevel::kInfo, "taskmem %s:%s", kVersion,
          text[0] != '\0' ? text : " no options");
}

__attribute__((constructor(101))) void Start(int argc, char** argv) {
  EnterHeap(nullptr);
  if (g_libc_heap != nullptr) {
    IsPrivileged() ? ForgetVariables() : SaySpaceIsSmall();
    return;
  }
  if (g_stats == nullptr) return;  // no memory at all: the program will find out
  if (IsPrivileged()) ForgetVariables();
  OpenCallFilter();
  Options options;
  char error[512];
  if (!ParseOptionsFromEnvironment(&options, error, sizeof(error))) {
    Message("%s", error);
    os::Call(SYS_exit_group, kBadOptionStatus);
  }
  SayUnknownVariables([](const char* line) { Message("%s", line); });
  ApplyProfile(&options);
  g_limit_policy.at_limit = options.at_limit;
  g_limit_policy.at_budget = options.at_budget;
  g_limit_policy.refuse_min_bytes = options.refuse_min_bytes;
  g_limit_policy.refusal_budget = options.refusal_budget;
  g_reclaim_wait_ns = options.wait_ns;
  OpenLog(options);
  LogStart();
  OpenSpillFiles(options);
  OpenOwnThreads();
  OpenSpillHooks(options);
  ChoosePlugin(options);
  OpenPools(options);
  ConfigureBlockStore(options);
  PublishAuditLayout();
  OpenExitAudit();
  OpenExitFiles();
  SetProcessLabel(options.label);
  OpenSites(options);
  StatsNoteTitle(argc, argv);
  StatsPublish(options);
  RegisterForkHandlers();
  ResolveLibc();
  OpenOverflow(options);
  if (options.redirect_libc) {
    if (RedirectLibc()) g_stats->libc_redirected.store(1);
    RedirectLibcMappings();
  }
  OpenAdoption(options);
  LookAtDefaultStack();
  StartTasks(options);
  OpenEngines(options);
  OpenMappings(options.residency_interval_ns);
  g_maps_apart.store(true, std::memory_order_relaxed);
}

}  // namespace
}  // namespace taskmem
