// taskmem's own threads: they run hooks for threads that wait, bounded, and spill for tasks
// above their soft limit.
#ifndef TASKMEM_SPILL_HOOKS_RECLAIMER_H_
#define TASKMEM_SPILL_HOOKS_RECLAIMER_H_

#include <atomic>
#include <cstdint>

#include "accounting/base/debug.h"
#include "accounting/base/mutex.h"
#include "spill/hooks/spill_consumer.h"
#include "spill/hooks/spill_host.h"

namespace taskmem {

// What these threads do.
class ReclaimerWork {
 public:
  // Its call was kQueued and is kRunning from here on, on this thread: no one else ever sees it in
  // neither. Needs the lock.
  virtual void BeginQueuedCall(SpillConsumer& /*consumer*/) {}

  // The next two are called with no lock held, and call NoteDone at their end.
  // Its call is kRunning, on this thread.
  virtual void RunCall(SpillConsumer& /*consumer*/) {}
  // This thread is a user of the task.
  virtual void RunSoftSpill(TaskConsumers& /*task*/) {}

 protected:
  ~ReclaimerWork() = default;
};

// One thread is the rule. It is started when there is work, a further one when there is work
// and all others are inside hooks, up to kMaxThreads, and each ends after a while without
// work: a process whose last thread of its own ends must end.
//
// A thread is idle (asleep, or about to look into the queue), busy from the step that takes work
// from the queue until NoteDone, and hung while it is busy with a call that was awaited in vain:
// hung_ <= busy_ <= threads_ <= kMaxThreads. It ends only where it finds the queue empty, as one
// step with that look: what is queued later finds one thread less. A start that fails is noticed
// by who tried; what others queued meanwhile, counting on that thread, stays in the queue for
// the next that comes, and who waits for it does so bounded.
//
// "Needs the lock" is that of SpillHooks, which guards everything here.
class Reclaimer {
 public:
  static constexpr uint32_t kMaxThreads = 4;
  static constexpr int64_t kIdleNs = 1'000'000'000;

  Reclaimer(Mutex& lock, SpillHost& host, ReclaimerWork& work)
      : lock_(lock), host_(host), work_(work) {}
  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;

  // False: every thread there can be is inside a hook that hangs. Needs the lock.
  bool CanServe() const { return threads_ < kMaxThreads || hung_ < threads_; }

  // The consumer's call is kQueued. Needs the lock, and gives it up. False: there is no
  // thread and none can be started.
  // It is still in the queue, then, unless another has started a thread since.
  bool EnqueueAndUnlock(SpillConsumer& consumer);
  // Takes a call that is kQueued back. Needs the lock.
  void Withdraw(SpillConsumer& consumer);
  // As EnqueueAndUnlock. The task has a user for this; where the answer is false it is still
  // in the queue.
  bool EnqueueSoftAndUnlock(TaskConsumers& task);
  void WithdrawSoft(TaskConsumers& task);

  // A call that runs on one of these threads was awaited in vain, or has ended after that.
  // Need the lock.
  void NoteHung() {
    ++hung_;
    CheckCounts();
  }
  void NoteRecovered() {
    TASKMEM_DCHECK(hung_ > 0);
    --hung_;
  }

  // The calling thread is done with what it does. Whoever is woken by the end of a call must
  // find a thread without work. Needs the lock.
  void NoteDone() {
    --busy_;
    CheckCounts();
  }

  // The calling thread, one of these, ends inside a hook. Needs the lock.
  void NoteThreadEnded();

  // Stops every thread that is not inside a hook; waits for them. For tests.
  void Stop();

  // In a forked child, with the lock held.
  void AfterFork();

 private:
  static void Serve(void* self) { static_cast<Reclaimer*>(self)->Serve(); }
  void Serve();
  bool ProvideThreadAndUnlock();
  void CheckCounts() const {
    TASKMEM_DCHECK(hung_ <= busy_ && busy_ <= threads_ && threads_ <= kMaxThreads);
  }
  SpillConsumer* TakeCall();
  TaskConsumers* TakeSoft();

  Mutex& lock_;
  SpillHost& host_;
  ReclaimerWork& work_;
  SpillConsumer* first_call_ = nullptr;
  SpillConsumer* last_call_ = nullptr;
  TaskConsumers* first_soft_ = nullptr;
  TaskConsumers* last_soft_ = nullptr;
  uint32_t queued_ = 0;   // of both kinds
  uint32_t threads_ = 0;  // started, or about to be
  uint32_t busy_ = 0;     // of them, at work
  uint32_t hung_ = 0;     // of them, in a hook that hangs
  bool is_stopped_ = false;
  std::atomic<uint32_t> work_added_{0};
  std::atomic<uint32_t> threads_ended_{0};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_HOOKS_RECLAIMER_H_
