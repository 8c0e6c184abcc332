#include "shim/collect/decay.h"

#include <atomic>

#include "shim/base/os.h"
#include "shim/books/pool_size.h"
#include "shim/books/pools.h"
#include "shim/books/slack.h"
#include "shim/collect/collect.h"
#include "shim/collect/orphan.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/contexts_of.h"
#include "shim/contexts/registry.h"
#include "shim/segments/page_memory.h"
#include "shim/segments/purge.h"
#include "shim/segments/slack.h"

namespace taskmem {

namespace {

// What threads that run were left with when all others had given back theirs.
std::atomic<int64_t> g_left_slack_bytes{0};
std::atomic<uint64_t> g_given_back_ns{0};

void PurgeAllOf(Context* context) { PurgeContext(context, /*force=*/true); }
void PurgeIdleOf(Context* context) { PurgeContext(context, /*force=*/false); }

bool IsDue(const Context* context, uint64_t now) {
  const uint64_t due = context->purge_at_ns.load(std::memory_order_relaxed);
  return due != 0 && due <= now;
}

// Only from inside the allocator, as CollectParked.
void PurgeParked(uint64_t now, bool force) {
  for (uint32_t i = 0; i < ContextCount(); ++i) {
    Context* context = ContextAt(i);
    if (IsDue(context, now)) {
      CollectIfParked(context, force ? PurgeAllOf : PurgeIdleOf);
    }
  }
}

// Of threads that sleep, where it is so much that a look at the thread is worth it.
void PurgeSleepers(uint64_t now, bool force) {
  constexpr int64_t kWorthIt = 256 << 10;
  for (uint32_t i = 0; i < ContextCount(); ++i) {
    Context* context = ContextAt(i);
    if (IsDue(context, now) && context->slack_bytes.load(std::memory_order_relaxed) >= kWorthIt) {
      CollectIfAsleep(context, force ? PurgeAllOf : PurgeIdleOf);
    }
  }
}

// All but that of threads that run.
void PurgeAll() {
  const InsideAllocator inside;
  // A thread that finds too little is inside already, with nothing half done.
  if (OwnsItsContext(t_thread)) PurgeAllOf(t_thread.context);
  PurgeParked(UINT64_MAX, /*force=*/true);
  PurgeOrphan();
  PurgeSegmentCache(/*force=*/true);
  PurgeSleepers(UINT64_MAX, /*force=*/true);
}

}  // namespace

void PurgeEverything() {
  PurgeAll();
  DropSegmentCache();
}

bool GiveSlackBack() {
  // Nothing is worth a look at all contexts again and again.
  constexpr int64_t kWorthIt = 1 << 20;
  constexpr uint64_t kPatienceNs = 10'000'000;
  const int64_t before = g_slack_bytes.load(std::memory_order_relaxed);
  const int64_t more = before - g_left_slack_bytes.load(std::memory_order_relaxed);
  if (before <= 0) return false;
  const uint64_t now = os::MonotonicNs();
  if (more < kWorthIt && now - g_given_back_ns.load(std::memory_order_relaxed) < kPatienceNs) {
    return false;
  }
  BeginShortage(now);
  PurgeAll();
  const int64_t left = g_slack_bytes.load(std::memory_order_relaxed);
  g_left_slack_bytes.store(left, std::memory_order_relaxed);
  g_given_back_ns.store(now, std::memory_order_relaxed);
  // Where memory has a size that the user set, what is charged decides; else what is in memory.
  if (!MemoryIsUnset()) g_excused_slack_bytes.store(left, std::memory_order_relaxed);
  LookAtMemoryAgain();
  return left < before;
}

uint64_t DecaySlack(bool at_once) {
  const uint64_t now = os::MonotonicNs();
  EndShortageIfDue(now);
  const InsideAllocator inside;
  PurgeParked(at_once ? UINT64_MAX : now, at_once);
  PurgeSegmentCache(at_once);
  PurgeSleepers(now, /*force=*/false);
  const int64_t excused = g_excused_slack_bytes.load(std::memory_order_relaxed);
  const int64_t left = g_slack_bytes.load(std::memory_order_relaxed);
  if (left < excused) g_excused_slack_bytes.store(left, std::memory_order_relaxed);
  return left > 0 ? static_cast<uint64_t>(left) : 0;
}

__attribute__((noinline)) void PurgeOwnIfDue(Context* context) {
  const bool is_short = context->purge_epoch != g_purge_epoch.load(std::memory_order_relaxed);
  const uint64_t due = context->purge_at_ns.load(std::memory_order_relaxed);
  if (!is_short && due == 0) return;
  const uint64_t now = os::MonotonicNs();
  EndShortageIfDue(now);
  if (!is_short && (due == 0 || now < due)) return;
  PurgeContext(context, is_short);
  PurgeSegmentCache(is_short);
  // One thread does it for all.
  static std::atomic<uint32_t> parked_epoch{0};
  const uint32_t epoch = context->purge_epoch;
  if (is_short && parked_epoch.exchange(epoch, std::memory_order_relaxed) != epoch) {
    PurgeParked(UINT64_MAX, /*force=*/true);
  }
}

}  // namespace taskmem
