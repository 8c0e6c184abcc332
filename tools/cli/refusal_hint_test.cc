#include "tools/cli/refusal_hint.h"

#include <gtest/gtest.h>

#include "shim/taskmem.h"

namespace taskmem {
namespace {

constexpr uint64_t kMiB = 1 << 20;

ProcessStats Process(pid_t pid, uint64_t time_ns, uint64_t task_id, const char* name) {
  ProcessStats process;
  process.pid = pid;
  process.first_refusal = Refusal{.time_ns = time_ns,
                                  .task_id = task_id,
                                  .task_name = name,
                                  .by_quota = true,
                                  .bytes = 90 * kMiB,
                                  .held_bytes = 276 * kMiB,
                                  .limit_bytes = 300 * kMiB,
                                  .site = {}};
  return process;
}

TEST(RefusalHint, NamesWhoWasFirst) {
  const std::vector<ProcessStats> processes = {Process(1, 200, 7, "late"),
                                               Process(2, 100, TASKMEM_IMPLICIT_TASK + 2, "early")};
  EXPECT_EQ(RefusalHint(processes, {}),
            "tid 2 (early) of pid 2 was the first to be refused memory: 90.0 MiB, while it held "
            "276.0 MiB of its quota of 300.0 MiB; `taskmem run --audit -` shows all");
}

TEST(RefusalHint, SaysWhichCodeHeldMost) {
  std::vector<ProcessStats> processes = {Process(1, 200, 7, "query")};
  processes[0].first_refusal->site = "270.0 MiB by inflate < read_rows (libz.so.1)\n";
  EXPECT_TRUE(
      RefusalHint(processes, {})
          .ends_with(" of its quota of 300.0 MiB, 270.0 MiB by inflate < read_rows (libz.so.1)?; "
                     "`taskmem run --audit -` shows all"))
      << RefusalHint(processes, {});
}

TEST(RefusalHint, NamesTheLimitThatRefused) {
  std::vector<ProcessStats> processes = {Process(1, 200, 7, "query")};
  processes[0].first_refusal->by_quota = false;
  EXPECT_EQ(RefusalHint(processes, {.was_asked_for = true, .pid = 0, .sites = {}}),
            "task 7 (query) was the first to be refused memory: 90.0 MiB, while it held 276.0 MiB "
            "and --memory of 300.0 MiB had no more for it; --log FILE says what was tried");
}

TEST(RefusalHint, NamesTheLargestSiteOfThatTask) {
  const std::vector<ProcessStats> processes = {Process(1, 200, 7, "query")};
  TaskAudit task;
  task.id = 7;
  TaskAudit other;
  other.id = 8;
  KnownSites known = {.was_asked_for = true, .pid = 1, .sites = {}};
  for (const auto& [function, owner, bytes] :
       {std::tuple("Other()", &other, 200 * kMiB), std::tuple("Small()", &task, kMiB),
        std::tuple("Large()", &task, 150 * kMiB)}) {
    NamedSite site;
    site.frames.push_back({});
    site.frames[0].symbol.function = function;
    site.frames[0].symbol.module = "engine";
    site.task = owner;
    site.bytes = bytes;
    known.sites.push_back(site);
  }
  EXPECT_TRUE(RefusalHint(processes, known).ends_with("; 150.0 MiB of Large() (engine)"))
      << RefusalHint(processes, known);
  known.pid = 2;  // of another process nothing is said
  EXPECT_TRUE(RefusalHint(processes, known).ends_with("; --log FILE says what was tried"));
}

TEST(RefusalHint, IsSilentWhereNothingWasRefused) { EXPECT_EQ(RefusalHint({{}, {}}, {}), ""); }

}  // namespace
}  // namespace taskmem
