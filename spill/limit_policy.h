// What happens to a request that does not fit its task's quota after everything
// free has been collected: refuse it, let it through as overdraft, or end the
// process with a report.
#ifndef TASKMEM_SPILL_LIMIT_POLICY_H_
#define TASKMEM_SPILL_LIMIT_POLICY_H_

#include <cstdint>

namespace taskmem {

enum class AtLimit : uint8_t { kRefuse, kOverdraw, kKill };
enum class AtBudget : uint8_t { kOverdraw, kKill };

enum class LimitAction : uint8_t { kRefuse, kOverdraw, kKill };

// One thread's refusals in a row. Some programs retry a refused request for
// ever; after `refusal_budget` refusals of one size without a success of at
// least that size between, the policy gives in.
struct RefusalStreak {
  uint64_t request_bytes = 0;
  uint64_t refusals = 0;

  void NoteSuccess(uint64_t bytes) {
    if (bytes >= request_bytes) refusals = 0;
  }
};

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

  // `request_bytes` is what the program asked for; `exempt` as above.
  LimitAction Decide(uint64_t request_bytes, bool exempt, RefusalStreak& streak) const {
    if (LetsThrough(request_bytes, exempt)) return LimitAction::kOverdraw;
    if (at_limit == AtLimit::kKill) return LimitAction::kKill;
    if (streak.request_bytes != request_bytes) streak = {request_bytes, 0};
    if (streak.refusals >= refusal_budget) {
      if (at_budget == AtBudget::kKill) return LimitAction::kKill;
      streak.refusals = 0;
      return LimitAction::kOverdraw;
    }
    ++streak.refusals;
    return LimitAction::kRefuse;
  }
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_LIMIT_POLICY_H_
