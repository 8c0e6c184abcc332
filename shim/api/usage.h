// What the books of a slot say, as taskmem.h has it.
#ifndef TASKMEM_SHIM_API_USAGE_H_
#define TASKMEM_SHIM_API_USAGE_H_

#include <cstdint>

#include "shim/published/stats_segment.h"
#include "shim/taskmem.h"

namespace taskmem {

inline void ReadUsage(uint32_t slot, taskmem_usage* usage) {
  const TaskBook& book = g_books[slot];
  *usage = {};
  usage->quota_bytes = book.quota_bytes.load();
  usage->charged_bytes = book.charged_bytes.load();
  usage->overdraft_bytes =
      usage->charged_bytes > usage->quota_bytes ? usage->charged_bytes - usage->quota_bytes : 0;
  usage->peak_charged_bytes = book.peak_charged_bytes.load();
  if (usage->peak_charged_bytes < usage->charged_bytes) {
    usage->peak_charged_bytes = usage->charged_bytes;
  }
  usage->peak_overdraft_bytes = book.peak_overdraft_bytes.load();
  if (usage->peak_overdraft_bytes < usage->overdraft_bytes) {
    usage->peak_overdraft_bytes = usage->overdraft_bytes;
  }
  usage->pages = book.pages.load();
  usage->refusals = book.refusals.load();
  usage->overdrafts = book.overdrafts.load();
  const uint32_t threads = g_stats->thread_entries.load();
  for (uint32_t i = 0; i < threads; ++i) {
    if (g_thread_entries[i].slot_plus_one.load(std::memory_order_relaxed) == slot + 1) {
      ++usage->threads;
    }
  }
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_API_USAGE_H_
