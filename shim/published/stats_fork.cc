#include "shim/published/stats_fork.h"

#include "shim/base/os.h"
#include "shim/published/stats_publish.h"
#include "shim/published/stats_room.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

// What was inherited counts from here: peaks start anew, refusals were the parent's.
void CountFromHere() {
  g_stats->peak_charged_bytes.store(g_stats->charged_bytes.load());
  g_stats->resident_bytes_at_exit.store(0);
  g_stats->exit_audit.store(ExitAudit::kNone);
  g_stats->request.state.store(RequestState::kIdle);
  // Nobody is setting it here.
  g_stats->label_state.fetch_and(1);
  g_stats->first_refusal.state.store(FirstRefusal::kNone);
  g_stats->first_refusal.site_state.store(FirstRefusal::kNone);
  g_stats->record_until_ns.store(0);
  g_stats->peak_resident_bytes.store(0);
  const uint32_t slots = g_stats->task_slots.load();
  for (uint32_t slot = 0; slot < slots; ++slot) {
    TaskBook& book = g_books[slot];
    book.peak_charged_bytes.store(book.charged_bytes.load());
    book.peak_overdraft_bytes.store(book.Overdraft());
    book.refusals.store(0);
    book.overdrafts.store(0);
    g_reclaim_books[slot].Reset();
  }
}

}  // namespace

bool StatsAfterFork() {
  auto* const copy = static_cast<char*>(os::Map(kStatsBytes, MAP_NORESERVE));
  if (copy == nullptr) return false;
  CopyUsedParts(copy);
  os::Call(SYS_mremap, reinterpret_cast<long>(copy), static_cast<long>(kStatsBytes),
           static_cast<long>(kStatsBytes), MREMAP_MAYMOVE | MREMAP_FIXED,
           reinterpret_cast<long>(g_stats));
  StatsNotePrivate();
  StatsCorrectOwnBytes();
  CountFromHere();
  // Only the thread that forked exists here, which renews its entry (context.h).
  const uint32_t threads = g_stats->thread_entries.load();
  for (uint32_t i = 0; i < threads; ++i) g_thread_entries[i].slot_plus_one.store(0);
  const uint32_t pid = g_fork_page->pid.load(std::memory_order_relaxed);
  g_stats->pid = pid != 0 ? pid : static_cast<uint32_t>(os::ProcessId());
  return true;
}

}  // namespace taskmem
