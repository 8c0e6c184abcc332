#include "shim/segments/slack.h"

#include <sys/platform/x86.h>

#include "shim/base/os.h"

namespace taskmem {

std::atomic<int64_t> g_slack_bytes{0};
std::atomic<int64_t> g_excused_slack_bytes{0};
std::atomic<uint32_t> g_purge_epoch{0};
std::atomic<uint64_t> g_short_until_ns{0};
bool g_counts_fast = false;

namespace {

constexpr uint64_t kShortNs = 1'000'000'000;

__attribute__((always_inline)) inline void CountSlackInline(Context* context,
                                                            mi_segment_t* segment) {
  const int64_t bytes = DirtyBytes(segment->decommit_mask);
  AddSlack(context, bytes - static_cast<int64_t>(CountedOf(segment)));
  CountedOf(segment) = static_cast<size_t>(bytes);
}

// As long as memory is short nothing free is kept. Else pages are kept as long as segments: after
// mimalloc's own 25 ms a program that takes turns with others on a busy machine has given back what
// it takes again in its next step, and each page costs a fault.
void SetDelays(bool is_short) {
  constexpr long kKeptMs = 500;
  mi_option_set(mi_option_decommit_delay, is_short ? 0 : kKeptMs);
  mi_option_set(mi_option_segment_decommit_delay, is_short ? 0 : kKeptMs);
}

}  // namespace

__attribute__((noinline)) void CountSlackAnywhere(Context* context, mi_segment_t* segment) {
  CountSlackInline(context, segment);
}
__attribute__((noinline, target("popcnt"))) void CountSlackFast(Context* context,
                                                                mi_segment_t* segment) {
  CountSlackInline(context, segment);
}

void OpenSlack() {
  // As the loader knows it: to ask the processor (__builtin_cpu_supports does so as the library is
  // loaded) takes tens of microseconds in a virtual machine.
  g_counts_fast = CPU_FEATURE_ACTIVE(POPCNT);
  SetDelays(/*is_short=*/false);
}

void NotePurgeDue(Context* context) {
  if (context->purge_at_ns.load(std::memory_order_relaxed) == 0) {
    context->purge_at_ns.store(os::MonotonicNs() + kDecayNs, std::memory_order_relaxed);
  }
}

void BeginShortage(uint64_t now) {
  if (os::IsSealed()) return;
  const uint64_t until = now + kShortNs;
  if (g_short_until_ns.exchange(until, std::memory_order_relaxed) == 0) SetDelays(true);
  g_purge_epoch.fetch_add(1, std::memory_order_relaxed);
}

void EndShortageIfDue(uint64_t now) {
  uint64_t until = g_short_until_ns.load(std::memory_order_relaxed);
  if (until == 0 || now < until) return;
  if (g_short_until_ns.compare_exchange_strong(until, 0)) SetDelays(false);
}

void NoteMemoryIsNear() {
  constexpr uint64_t kOftenNs = 10'000'000;
  const uint64_t now = os::MonotonicNs();
  const uint64_t until = g_short_until_ns.load(std::memory_order_relaxed);
  if (until == 0 || until - now < kShortNs - kOftenNs) BeginShortage(now);
}

int64_t CountedSlack() {
  const int64_t bytes = g_slack_bytes.load(std::memory_order_relaxed) -
                        g_excused_slack_bytes.load(std::memory_order_relaxed);
  return bytes > 0 ? bytes : 0;
}

}  // namespace taskmem
