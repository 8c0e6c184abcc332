#include "shim/limit/request_limit.h"

#include <atomic>

#include "accounting/base/errno_keeper.h"
#include "shim/books/page_map.h"
#include "shim/collect/thread_context.h"
#include "shim/contexts/charge.h"
#include "shim/heap/heap.h"
#include "shim/limit/at_limit.h"
#include "shim/limit/last_steps.h"
#include "shim/limit/overflow_heap.h"
#include "shim/limit/refusals.h"
#include "shim/limit/take.h"
#include "shim/pages/page_steps.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

namespace {

// One allocation of this thread that found too little. Its task may change while it is
// made room for, a hook may end it: the thread's pair is looked up at each try.
class RequestAtLimit final : public RequestHost {
 public:
  RequestAtLimit(Context* context, size_t size, bool zero, size_t alignment)
      : RequestHost(t_thread.pair->slot, t_thread.pair->generation, size),
        context_(context),
        size_(size),
        alignment_(alignment),
        zero_(zero) {}

  // Of a block that is to grow: what it needs is the difference.
  RequestAtLimit(Context* context, const Growth& growth)
      : RequestAtLimit(context, growth.size, false, 0) {
    growth_ = &growth;
  }

  void* result() const { return result_; }

  bool Take(ChargeMode mode) {
    Pair* pair = t_thread.pair;
    if (HasEnded(*pair) && !t_thread.keeps_ended_task) {
      UsePair(context_, &context_->untracked);
      pair = t_thread.pair;
    }
    if (growth_ != nullptr) {
      return GrowInPlace(pair->slot, *growth_, mode, &result_) == Outcome::kDone;
    }
    return taskmem::Take(context_, pair, size_, zero_, alignment_, mode, &result_) ==
           Outcome::kDone;
  }
  bool IsServed() const override { return result_ != nullptr; }
  bool TryAgain() override { return result_ != nullptr || Take(ChargeMode::kWithinQuota); }

  bool MayOverflow() override {
    return IsLive() && t_thread.pair->slot == slot() && OverflowUsable(slot(), size_);
  }
  uint64_t TakeFromOverflow() override {
    const uint64_t needed = Needed();
    const Outcome outcome =
        growth_ != nullptr
            ? GrowIntoOverflow(context_, t_thread.pair, *growth_, &result_)
            : TakeInOverflow(context_, t_thread.pair, size_, zero_, alignment_, &result_);
    return outcome == Outcome::kDone ? needed : 0;
  }

  // Of small blocks one step or one block.
  uint64_t Needed() const override {
    constexpr uint64_t kLeast = 2 * kStepBytes;
    if (growth_ != nullptr) return result_ == nullptr ? GrowthBytes(*growth_, slot()) : 0;
    const uint64_t bytes = size_ + size_ / 4;
    if (size_ > MI_MEDIUM_OBJ_SIZE_MAX) return _mi_align_up(size_, PageMap::kUnitBytes);
    return bytes > kLeast ? bytes : kLeast;
  }

 private:
  Context* const context_;
  const size_t size_;
  const size_t alignment_;
  const bool zero_;
  const Growth* growth_ = nullptr;
  void* result_ = nullptr;
};

void* ServeAtLimit(RequestAtLimit& request, size_t size) {
  const ErrnoKeeper keeper;
  ThreadState& t = t_thread;
  // A hook's own requests make no more room: that is what it is there for.
  const bool exempt = t.exempt || t.in_hook || g_process_is_dying.load(std::memory_order_relaxed) ||
                      InFatalSignalHandler();
  ReclaimReport report;
  // What is free goes first.
  if (!exempt && request.QuotaAllows() && MakeRoomOfSlack([&] { return request.TryAgain(); })) {
    NoteServed(size);
    return request.result();
  }
  if (!exempt &&
      (!g_limit_policy.LetsThrough(size, exempt) || request.MayOverflow() || t_patience.IsDue())) {
    if (request.Reclaim(&report)) {
      NoteServed(size);
      return request.result();
    }
  }
  switch (g_limit_policy.Decide(size, exempt, t.streak)) {
    case LimitAction::kRefuse:
      g_books[request.slot()].refusals.fetch_add(1, std::memory_order_relaxed);
      SayRefusal(request.slot(), size, request.Needed(), report);
      return nullptr;
    case LimitAction::kKill: ReportTaskAndDie(request.slot(), size, report); return nullptr;
    case LimitAction::kOverdraw: break;
  }
  return request.Take(ChargeMode::kOverQuota) ? request.result() : nullptr;
}

}  // namespace

__attribute__((noinline)) void* AllocateAtLimit(Context* context, size_t size, bool zero,
                                                size_t alignment) {
  RequestAtLimit request(context, size, zero, alignment);
  return ServeAtLimit(request, size);
}

__attribute__((noinline)) void* AllocateIfLetThrough(Context* context, size_t size) {
  if (!g_limit_policy.LetsThrough(size, t_thread.exempt)) return nullptr;
  RequestAtLimit request(context, size, /*zero=*/false, /*alignment=*/0);
  return request.Take(ChargeMode::kOverQuota) ? request.result() : nullptr;
}

__attribute__((noinline)) void* GrowAtLimit(Context* context, const Growth& growth) {
  RequestAtLimit request(context, growth);
  return ServeAtLimit(request, growth.size);
}

}  // namespace taskmem
