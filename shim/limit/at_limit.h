// A request that found too little, a block's or a mapping's: what can be tried for it, in the order
// of spill/reclaim/reclaim.h. What the two differ in is theirs: how a charge is tried again
// (TryAgain), how much it takes (Needed), and whether it has been served.
#ifndef TASKMEM_SHIM_LIMIT_AT_LIMIT_H_
#define TASKMEM_SHIM_LIMIT_AT_LIMIT_H_

#include <cstdint>

#include "shim/base/os.h"
#include "shim/books/pools.h"
#include "shim/books/task_registry.h"
#include "shim/collect/other_contexts.h"
#include "shim/contexts/context.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/published/events.h"
#include "shim/published/stats_segment.h"
#include "spill/reclaim/reclaim.h"

namespace taskmem {

// Work for a request that will be let through anyway is done ever more rarely while it
// brings nothing.
class Patience {
 public:
  bool IsDue() {
    if (skipped_++ < wait_) return false;
    skipped_ = 0;
    wait_ = wait_ == 0 ? 1 : wait_ >= kMostSkipped ? wait_ : wait_ * 2;
    return true;
  }
  void Renew() { skipped_ = wait_ = 0; }

 private:
  // Between two requests that are worth it.
  static constexpr uint32_t kMostSkipped = 1024;

  uint32_t skipped_;
  uint32_t wait_;
};

extern __thread Patience t_patience __attribute__((tls_model("initial-exec")));

// Of the task that the request began with. On its thread's stack, inside the allocator, with no
// lock held. No function is pure: there is no C++ runtime to answer for it.
class RequestHost : public ReclaimHost {
 public:
  // `bytes`: by which its refusals in a row are counted.
  RequestHost(uint32_t slot, uint32_t generation, uint64_t bytes)
      : slot_(slot), generation_(generation), bytes_(bytes) {}
  RequestHost(const RequestHost&) = delete;
  RequestHost& operator=(const RequestHost&) = delete;

  uint32_t slot() const { return slot_; }

  bool MayCollect(CollectFrom from) override {
    // Looking at every thread is work: a program that asks again and again gets it
    // done for the first requests and then for some.
    const uint64_t refusals = t_thread.streak.Refusals(bytes_);
    if (from == CollectFrom::kEndedThreads) others_.Choose(QuotaAllows() ? kEverySlot : slot_);
    return from == CollectFrom::kThisThread ||
           (others_.AreDue() &&
            (from == CollectFrom::kEndedThreads || refusals < 8 || refusals % 16 == 0));
  }

  uint64_t Collect(CollectFrom from) override {
    const uint64_t before = Charged();
    switch (from) {
      case CollectFrom::kThisThread:
        // What is charged by residency may be gone since it was looked at.
        SampleResidencyIfDue(/*is_urgent=*/true);
        CollectContext(t_thread.context, true);
        break;
      case CollectFrom::kEndedThreads:
      case CollectFrom::kSleepingThreads: others_.Collect(from); break;
    }
    const uint64_t after = Charged();
    if (from != CollectFrom::kThisThread) others_.Note(after < before);
    return after < before ? before - after : 0;
  }

  // Blocks help against the pools' limit, and not against the task's own.
  bool MayEvict() override { return IsLive() && QuotaAllows(); }
  uint64_t EvictBlocks() override { return AcquireAhead(0); }

  bool MaySpill() override { return IsLive() && HasSpillHooks(); }
  uint64_t SpillConsumers() override {
    const auto serve = [](void* request) { return static_cast<RequestHost*>(request)->TryAgain(); };
    const uint64_t freed =
        taskmem::SpillConsumers({slot_, generation_, Needed(), &spill_wait_left_ns_, serve, this});
    return freed == 0 && IsServed() ? 1 : freed;
  }

  bool MayWait() override { return g_reclaim_wait_ns != 0 && MayEvict(); }
  uint64_t WaitForMemory() override {
    const uint64_t start = os::MonotonicNs();
    const uint64_t acquired = AcquireAhead(g_reclaim_wait_ns);
    ReclaimBook& book = g_reclaim_books[slot_];
    book.waits.fetch_add(1, std::memory_order_relaxed);
    const uint64_t waited = os::MonotonicNs() - start;
    book.wait_ns.fetch_add(waited, std::memory_order_relaxed);
    NoteEvent(EventKind::kWait, slot_, acquired, Charged(), waited);
    return acquired;
  }

  // The quota has room for it; so it is the pools that have not.
  bool QuotaAllows() const {
    const uint64_t quota = g_books[slot_].quota_bytes.load(std::memory_order_relaxed);
    const uint64_t charged = Charged();
    return Needed() <= (charged < quota ? quota - charged : 0);
  }

  // What the charge that serves it takes at most, in bytes.
  virtual uint64_t Needed() const { return 0; }
  virtual bool IsServed() const { return false; }

  // All of it. True: it has been served.
  bool Reclaim(ReclaimReport* report) {
    const uint64_t start = os::MonotonicNs();
    const bool is_served = taskmem::Reclaim(*this, report);
    const uint64_t stalled = os::MonotonicNs() - start;
    g_reclaim_books[slot_].AddStall(stalled);
    NoteEvent(EventKind::kStall, slot_, Needed(), Charged(), stalled);
    if (is_served) t_patience.Renew();
    return is_served;
  }

 protected:
  bool IsLive() const {
    return slot_ >= kFirstTaskSlot &&
           g_task_slots[slot_].generation.load(std::memory_order_acquire) == generation_;
  }

 private:
  uint64_t Charged() const { return g_books[slot_].charged_bytes.load(std::memory_order_relaxed); }
  uint64_t AcquireAhead(int64_t timeout_ns) {
    const HookScope scope;
    return AcquireAheadInPools(slot_, Needed(), timeout_ns);
  }

  const uint32_t slot_;
  const uint32_t generation_;
  const uint64_t bytes_;
  OtherContexts others_;
  int64_t spill_wait_left_ns_ = SpillTimeoutNs();
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_LIMIT_AT_LIMIT_H_
