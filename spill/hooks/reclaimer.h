// taskmem's own threads: they run hooks for threads that wait, bounded, and spill for tasks
// above their soft limit.
#ifndef TASKMEM_SPILL_HOOKS_RECLAIMER_H_
#define TASKMEM_SPILL_HOOKS_RECLAIMER_H_

#include <atomic>
#include <cstdint>

#include "accounting/base/mutex.h"
#include "spill/hooks/spill_consumer.h"
#include "spill/hooks/spill_host.h"

namespace taskmem {

// What these threads do. Called with no lock held; calls NoteDone at its end.
class ReclaimerWork {
 public:
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
  bool EnqueueAndUnlock(SpillConsumer& consumer);
  // Takes a call that is kQueued back. Needs the lock.
  void Withdraw(SpillConsumer& consumer);
  // As EnqueueAndUnlock. The task has a user for this; where the answer is false it is still
  // in the queue.
  bool EnqueueSoftAndUnlock(TaskConsumers& task);
  void WithdrawSoft(TaskConsumers& task);

  // A call that runs on one of these threads was awaited in vain, or has ended after that.
  // Need the lock.
  void NoteHung() { ++hung_; }
  void NoteRecovered() { --hung_; }

  // The calling thread is done with what it does. Whoever is woken by the end of a call must
  // find a thread without work. Needs the lock.
  void NoteDone() { --busy_; }

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
