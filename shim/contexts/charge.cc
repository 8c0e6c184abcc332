#include "shim/contexts/charge.h"

namespace taskmem {

void PostTotal() {
  const int64_t bytes = t_thread.unposted_bytes;
  if (bytes == 0) return;
  EnsureOwnBooks();
  if (bytes > kUnpostedLimit || bytes < -kUnpostedLimit) NoteWorthListing();
  t_thread.unposted_bytes = 0;
  const uint64_t total =
      g_stats->charged_bytes.fetch_add(static_cast<uint64_t>(bytes), std::memory_order_relaxed) +
      static_cast<uint64_t>(bytes);
  // Credits that others have not posted yet may push it below 0 for a moment.
  if (bytes > 0 && static_cast<int64_t>(total) > 0) {
    TaskBook::RaisePeak(g_stats->peak_charged_bytes, total);
  }
}

}  // namespace taskmem
