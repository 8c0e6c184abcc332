#include "shim/limit/mapping_limit.h"

#include <atomic>

#include "accounting/base/errno_keeper.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/charge.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/limit/at_limit.h"
#include "shim/limit/last_steps.h"
#include "shim/limit/refusals.h"

namespace taskmem {

bool TryChargeMapped(uint32_t slot, uint64_t bytes, uint64_t request_bytes) {
  if (!Charge(slot, bytes, ChargeMode::kWithinQuota)) return false;
  NoteServed(request_bytes);
  return true;
}
void ChargeMappedOverQuota(uint32_t slot, uint64_t bytes) {
  Charge(slot, bytes, ChargeMode::kOverQuota);
}
void CreditMapped(uint32_t slot, uint64_t bytes) { Credit(slot, bytes); }

namespace {

// A mapping that found too little. Unlike an allocation it is charged to the task it began
// with, whatever its thread works for meanwhile.
class MappingAtLimit final : public RequestHost {
 public:
  MappingAtLimit(const CurrentTask& task, uint64_t bytes)
      : RequestHost(task.slot, task.generation, bytes), bytes_(bytes) {}

  uint64_t Needed() const override { return bytes_; }
  bool IsServed() const override { return is_served_; }
  bool TryAgain() override {
    if (!is_served_) is_served_ = Charge(slot(), bytes_, ChargeMode::kWithinQuota);
    return is_served_;
  }

 private:
  const uint64_t bytes_;
  bool is_served_ = false;
};

bool MakeRoomInContext(const CurrentTask& task, uint64_t bytes, uint64_t request_bytes,
                       bool may_refuse, ReclaimReport* report) {
  const bool would_refuse = may_refuse && !g_limit_policy.LetsThrough(request_bytes, false);
  if (!would_refuse && !t_patience.IsDue()) return false;
  MappingAtLimit request(task, bytes);
  if (request.QuotaAllows() && MakeRoomOfSlack([&] { return request.TryAgain(); })) return true;
  return request.Reclaim(report);
}

}  // namespace

bool MakeRoomForMapping(const CurrentTask& task, uint64_t bytes, uint64_t request_bytes,
                        bool may_refuse) {
  const ErrnoKeeper keeper;
  ThreadState& t = t_thread;
  // In a signal handler that interrupted the allocator there is no room to be made.
  const bool exempt = t.phase != ThreadPhase::kReady || t.busy || t.exempt || t.in_hook ||
                      g_process_is_dying.load(std::memory_order_relaxed) || InFatalSignalHandler();
  ReclaimReport report;
  if (!exempt) {
    const InsideAllocator inside;
    if (MakeRoomInContext(task, bytes, request_bytes, may_refuse, &report)) {
      NoteServed(request_bytes);
      return true;
    }
  }
  switch (g_limit_policy.Decide(request_bytes, exempt || !may_refuse, t.streak)) {
    case LimitAction::kRefuse:
      g_books[task.slot].refusals.fetch_add(1, std::memory_order_relaxed);
      SayRefusal(task.slot, request_bytes, bytes, report);
      return false;
    case LimitAction::kKill: ReportTaskAndDie(task.slot, request_bytes, report); return false;
    case LimitAction::kOverdraw: break;
  }
  Charge(task.slot, bytes, ChargeMode::kOverQuota);
  return true;
}

void EndIfOverQuota(uint32_t slot) {
  if (g_limit_policy.at_limit != AtLimit::kKill ||
      g_process_is_dying.load(std::memory_order_relaxed)) {
    return;
  }
  const TaskBook& book = g_books[slot];
  const auto excess = [&book] {
    const uint64_t charged = book.charged_bytes.load(std::memory_order_relaxed);
    const uint64_t quota = book.quota_bytes.load(std::memory_order_relaxed);
    return charged > quota ? charged - quota : 0;
  };
  const uint32_t generation = g_task_slots[slot].generation.load(std::memory_order_acquire);
  if (HasSpillHooks() && excess() != 0) {
    EnterHeap(nullptr);
    int64_t wait_left_ns = SpillTimeoutNs();
    const auto serve = [](void* excess_left) {
      return (*static_cast<decltype(excess)*>(excess_left))() == 0;
    };
    auto left = excess;
    SpillConsumers({slot, generation, excess(), &wait_left_ns, serve, &left});
    SampleResidencyNow();
  }
  if (excess() == 0 || g_task_slots[slot].generation.load() != generation) return;
  ReportTaskAndDie(slot, 0, ReclaimReport());
}

}  // namespace taskmem
