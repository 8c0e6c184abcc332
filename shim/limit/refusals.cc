#include "shim/limit/refusals.h"

#include <atomic>
#include <cstring>

#include "accounting/base/format_text.h"
#include "accounting/base/size_text.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/books/pools.h"
#include "shim/books/task_text.h"
#include "shim/contexts/charge.h"
#include "shim/contexts/context.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/options/log.h"
#include "shim/published/events.h"
#include "shim/published/stats_end.h"
#include "shim/published/stats_segment.h"
#include "spill/reclaim/line_rate.h"

namespace taskmem {

namespace {

// Whether so much more would pass the quota.
bool PassesQuota(uint64_t charged, uint64_t quota, uint64_t more) {
  return charged > quota || more > quota - charged;
}

// Tells who reads the books at the end which refusal came first. True: this one did.
bool NoteFirstRefusal(const TaskBook& book, size_t size, uint64_t charged, uint64_t quota,
                      bool by_quota) {
  FirstRefusal& first = g_stats->first_refusal;
  FirstRefusal::State none = FirstRefusal::kNone;
  if (first.state.load(std::memory_order_relaxed) != none ||
      !first.state.compare_exchange_strong(none, FirstRefusal::kBeingWritten)) {
    return false;
  }
  first.by_quota = by_quota ? 1 : 0;
  first.time_ns = os::MonotonicNs();
  first.task_id = book.task_id.load(std::memory_order_relaxed);
  first.bytes = size;
  first.held_bytes = charged;
  first.limit_bytes = by_quota ? quota : g_stats->pools.memory_bytes.load();
  memcpy(first.name, book.name, sizeof(first.name));
  first.state.store(FirstRefusal::kWritten, std::memory_order_release);
  return true;
}

// And which code held most of that task: while it still does.
void NoteFirstSite(uint32_t slot) {
  FirstRefusal& first = g_stats->first_refusal;
  if (DescribeLargestSite(slot, first.site, sizeof(first.site)) == 0) return;
  first.site_state.store(FirstRefusal::kWritten, std::memory_order_release);
}

// Lines about refusals, of all tasks: programs may be refused something at every turn.
LineRate g_refusal_lines(/*burst=*/100, /*interval_ns=*/1'000'000'000);

}  // namespace

__attribute__((noinline)) void SayRefusal(uint32_t slot, size_t size, uint64_t needed,
                                          const ReclaimReport& report) {
  const TaskBook& book = g_books[slot];
  const uint64_t quota = book.quota_bytes.load();
  const uint64_t charged = book.charged_bytes.load();
  const bool by_quota = PassesQuota(charged, quota, needed);
  // Nobody reads that of a process that leaves no books.
  if (NoteFirstRefusal(book, size, charged, quota, by_quota) && StatsOutliveProcess()) {
    NoteFirstSite(slot);
  }
  NoteEvent(EventKind::kRefusal, slot, needed, charged,
            by_quota ? quota : g_stats->pools.memory_bytes.load(), by_quota ? kEventByQuota : 0);
  const uint64_t refusals = t_thread.streak.Refusals(size);
  const bool is_logged = Log()->Wants(LogLevel::kWarn) && IsDoubling(refusals) &&
                         g_refusal_lines.Allows(os::MonotonicNs());
  const bool is_told = g_tells_refusals.load(std::memory_order_acquire);
  if (!is_logged && !is_told) return;
  char tried[160];
  report.Describe(tried, sizeof(tried));
  const uint64_t task = book.task_id.load();
  char text[384];
  FormatText(text, sizeof(text), "%s refused %s: holds %s%s%s; %s; %llu in a row",
             TaskText(book).c_str(), OwnSizeText(size).c_str(), OwnSizeText(charged).c_str(),
             by_quota              ? " of its quota of "
             : g_shares_are_limits ? ", and what it may have of --memory is used up"
                                   : ", and --memory is used up",
             by_quota ? OwnSizeText(quota).c_str() : "", tried,
             static_cast<unsigned long long>(refusals));
  if (is_logged) LogText(Log(), LogLevel::kWarn, text);
  if (is_told) TellRefusal({task, slot, size, charged, quota, text});
}

void ReportTaskAndDie(uint32_t slot, size_t size, const ReclaimReport& report) {
  const TaskBook& book = g_books[slot];
  const TaskText task(book);
  const uint64_t charged = book.charged_bytes.load();
  const uint64_t quota = book.quota_bytes.load();
  const OwnSizeText held(charged);
  if (size == 0) {
    Message("%s is over its quota by what it touched: holds %s of %s; ending the process",
            task.c_str(), held.c_str(), OwnSizeText(quota).c_str());
  } else if (PassesQuota(charged, quota, size)) {
    Message("%s is over its quota: asked for %s, holds %s of %s; ending the process", task.c_str(),
            OwnSizeText(size).c_str(), held.c_str(), OwnSizeText(quota).c_str());
  } else {
    const PoolStats& pools = g_stats->pools;
    Message(
        "%s finds no memory left of --memory: asked for %s, holds %s; all tasks hold %s of %s, no "
        "task holds %s; ending the process",
        task.c_str(), OwnSizeText(size).c_str(), held.c_str(),
        OwnSizeText(pools.execution_used_bytes.load()).c_str(),
        OwnSizeText(pools.memory_bytes.load()).c_str(),
        OwnSizeText(g_books[kUntrackedSlot].charged_bytes.load()).c_str());
  }
  char tried[160];
  report.Describe(tried, sizeof(tried));
  Message("%s", tried);
  ReportSizeClasses(slot);
  PostTotal();
  // Files that it shall leave are written by whoever reads its books.
  g_stats->exit_stats[0] == '\0' || StatsOutliveProcess() ? StatsAtExit() : StatsLeaveBehind();
  os::KillThisProcess();
}

}  // namespace taskmem
