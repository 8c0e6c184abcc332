// What is tried for a request before and beside the order of spill/reclaim/reclaim.h.
#ifndef TASKMEM_SHIM_LIMIT_LAST_STEPS_H_
#define TASKMEM_SHIM_LIMIT_LAST_STEPS_H_

#include <time.h>

#include <atomic>
#include <cstdint>

#include "shim/base/os.h"
#include "shim/books/pool_size.h"
#include "shim/books/pools.h"
#include "shim/books/slack.h"
#include "shim/contexts/context.h"

namespace taskmem {

// A fatal signal's handler runs with that one signal blocked. A thread that blocks
// all signals, or began with one blocked, is not in one.
inline bool InFatalSignalHandler() {
  return !t_thread.signals_at_start && os::BlockedFatalSignals() == 1;
}

// Has slack given back (slack.h), and then try_again(), until that is true or nothing comes back
// any more. Where --memory was not set, what is in memory decides, and threads that are about to
// run may hold much of it: they get a moment to give it back.
template <typename TryAgain>
bool MakeRoomOfSlack(TryAgain try_again) {
  constexpr int kMostWaits = 20;
  constexpr long kWaitNs = 1'000'000;
  constexpr uint64_t kPatienceNs = 1'000'000'000;
  constexpr int64_t kWorthIt = 4 << 20;
  static std::atomic<uint64_t> in_vain_ns{0};
  if (GiveSlackBack() && try_again()) return true;
  if (!MemoryIsUnset() || g_slack_bytes.load(std::memory_order_relaxed) < kWorthIt) return false;
  const uint64_t start = os::MonotonicNs();
  if (start - in_vain_ns.load(std::memory_order_relaxed) < kPatienceNs) return false;
  for (int i = 0; i < kMostWaits; ++i) {
    struct timespec wait = {0, kWaitNs};
    os::Call(SYS_nanosleep, reinterpret_cast<long>(&wait), 0);
    LookAtMemoryAgain();
    if (try_again()) return true;
    if (g_slack_bytes.load(std::memory_order_relaxed) < kWorthIt) return false;
  }
  in_vain_ns.store(start, std::memory_order_relaxed);
  return false;
}

}  // namespace taskmem

#endif  // TASKMEM_SHIM_LIMIT_LAST_STEPS_H_
