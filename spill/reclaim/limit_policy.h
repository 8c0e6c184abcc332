// What happens to a request that does not fit its task's quota after everything
// free has been collected: refuse it, let it through as overdraft, or end the
// process with a report.
#ifndef TASKMEM_SPILL_RECLAIM_LIMIT_POLICY_H_
#define TASKMEM_SPILL_RECLAIM_LIMIT_POLICY_H_

#include <cstdint>

#include "spill/reclaim/refusal_streak.h"

namespace taskmem {

enum class AtLimit : uint8_t { kRefuse, kOverdraw, kKill };
enum class AtBudget : uint8_t { kOverdraw, kKill };

enum class LimitAction : uint8_t { kRefuse, kOverdraw, kKill };

struct LimitPolicy {
  AtLimit at_limit = AtLimit::kRefuse;
  AtBudget at_budget = AtBudget::kOverdraw;
  uint64_t refuse_min_bytes = 256 * 1024;  // smaller requests overdraw
  uint64_t refusal_budget = 1000;

  // Whether the request overdraws, whatever was refused before. `exempt`: it must
  // not fail (the process is dying, or the thread is the runtime's own).
  bool LetsThrough(uint64_t request_bytes, bool exempt) const {
    return exempt || at_limit == AtLimit::kOverdraw ||
           (at_limit == AtLimit::kRefuse && request_bytes < refuse_min_bytes);
  }

  // `request_bytes` is what the program asked for; `exempt` as above. After `refusal_budget`
  // refusals that count (refusal_streak.h) one request is let through, and the count begins
  // anew; or the process ends.
  LimitAction Decide(uint64_t request_bytes, bool exempt, RefusalStreak& streak) const {
    if (LetsThrough(request_bytes, exempt)) return LimitAction::kOverdraw;
    if (at_limit == AtLimit::kKill) return LimitAction::kKill;
    if (streak.Refusals(request_bytes) >= refusal_budget) {
      if (at_budget == AtBudget::kKill) return LimitAction::kKill;
      streak.Clear();
      return LimitAction::kOverdraw;
    }
    streak.NoteRefusal(request_bytes);
    return LimitAction::kRefuse;
  }
};

// Of a streak's refusals these are logged: the first, and each at which it has doubled.
inline bool IsDoubling(uint64_t refusals) { return (refusals & (refusals - 1)) == 0; }

}  // namespace taskmem

#endif  // TASKMEM_SPILL_RECLAIM_LIMIT_POLICY_H_
