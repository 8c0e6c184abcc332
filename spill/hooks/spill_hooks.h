// Spill hooks: consumers of tasks, and the spill that makes room for an allocation before it
// returns (TMM-3 to TMM-6).
//
//   allocation at its limit -> Spill -> the task's consumers in Spark's order, one by one
//                                         on this thread, or on a reclaimer's (reclaimer.h)
//                                       until the request fits or nobody frees anything
//   another thread of the task meanwhile -> joins: waits for the result
//
// What a hook freed is what the books say, not what it returns. No lock is held while a hook
// runs or a thread waits.
#ifndef TASKMEM_SPILL_HOOKS_SPILL_HOOKS_H_
#define TASKMEM_SPILL_HOOKS_SPILL_HOOKS_H_

#include <cstdint>

#include "accounting/base/fork_locks.h"
#include "accounting/base/mutex.h"
#include "accounting/memory/memory_allocator.h"
#include "accounting/tasks/spill_candidates.h"
#include "spill/hooks/consumer_table.h"
#include "spill/hooks/hook_watch.h"
#include "spill/hooks/reclaimer.h"
#include "spill/hooks/spill_consumer.h"
#include "spill/hooks/spill_host.h"

namespace taskmem {

// Thread-safe. A task is any number; what stands for it must not be used for another while
// it has consumers.
class SpillHooks final : private ReclaimerWork {
 public:
  // A consumer whose spills bring nothing to who needs it is asked that often in a row, for
  // twice as much each time (as TaskMemoryManager does): others took it, or what it freed are
  // small blocks, of which the task gives nothing back before a whole page of them is free.
  static constexpr int kMaxFruitlessSpills = 40;
  // And that often in all for one request, however little it frees each time.
  static constexpr int kMaxSpills = 1 << 16;

  // The host must outlive it. `memory`: for consumers and tasks; none is given back.
  SpillHooks(SpillHost& host, const MemorySource& memory);
  // Nobody is inside, and no hook hangs.
  ~SpillHooks();
  SpillHooks(const SpillHooks&) = delete;
  SpillHooks& operator=(const SpillHooks&) = delete;

  // 0, and an id that is never used again and not 0. EINVAL: no callback. ENOMEM. A consumer
  // that is registered while its task spills is asked by the next spill.
  int Register(const SpillConsumerOptions& options, uint64_t* id);

  // The hook is not called again. Waits until no call of it is in flight, but not inside the
  // hook itself: there it returns at once, and the call goes on. ENOENT: there is no such
  // consumer (any more), and no call of it is in flight. EDEADLK: it is unregistered, but its
  // call is in flight on a thread that waits, in the same way, for the hook this was called
  // from: it goes on once that has returned.
  int Unregister(uint64_t id);

  // What the consumer uses; a consumer that uses nothing is not asked. Takes no lock and may
  // be called anywhere. 0 or ENOENT.
  int Report(uint64_t id, uint64_t bytes) { return table_.Report(id, bytes); }
  int ReadUsed(uint64_t id, uint64_t* bytes) const { return table_.ReadUsed(id, bytes); }
  // ConsumerTable::arrays.
  const void* consumer_arrays() const { return table_.arrays(); }

  // The task is over: its consumers are not asked again. A call that is in flight goes on to
  // its end; Unregister of that consumer waits for it.
  void EndTask(uint64_t task);

  // Asks the task's consumers until the request fits. Inside a hook it does nothing.
  SpillResult Spill(const SpillRequest& request);

  // Has a reclaimer spill until the task is below its soft limit, by the hooks that run on
  // reclaimers. False: there is nobody to ask, or it is under way. Once it is over
  // SpillHost::SoftSpillEnded is called.
  bool RequestSoftSpill(uint64_t task);

  // Whether this thread is inside a hook.
  static bool IsInHook();

  // Around fork(). In the child nothing is in flight but the hook that forked, if one did.
  void AddLocks(ForkLocks* locks) { locks->Add(lock_); }
  // Of any kind of fork. Does nothing where the thread that forked was inside the lock.
  void ResetInChild();

 private:
  struct Choice;
  struct Running;

  // ReclaimerWork
  void BeginQueuedCall(SpillConsumer& consumer) override {
    BeginCall(consumer, /*is_awaited=*/true);
  }
  void RunCall(SpillConsumer& consumer) override;
  void RunSoftSpill(TaskConsumers& task) override;

  // A call, on this thread. Returns what the hook returned.
  uint64_t RunHook(SpillConsumer& consumer, SpillRound* round);
  static void HookThreadEnded(void* running);
  uint64_t FreedBytes(const SpillCount& call, uint64_t charged_before, uint64_t returned,
                      const SpillRound* round);
  void CollectOfJoined(const SpillRound& round);
  // The transitions of a call (spill_consumer.h). Need the lock.
  // `is_awaited`: somebody waits for it, bounded. True: the watch is to be started, without the
  // lock.
  bool BeginCall(SpillConsumer& consumer, bool is_awaited);
  // True: wake those who wait for calls_ended.
  bool EndCall(SpillConsumer& consumer, uint64_t returned_bytes = 0);
  void EndRound(SpillRound& round);
  // Nobody waits for its call any more, until that has ended. Needs the lock. True: `hang` is to
  // be told of, without the lock.
  bool NoteHung(SpillConsumer& consumer, HookHang* hang);

  // spill_round.cc. "AndUnlock": needs the lock, and gives it up.
  SpillResult JoinAndUnlock(TaskConsumers& task, const SpillRequest& request);
  void SpillInOrder(TaskConsumers& task, SpillRound* round, const SpillRequest& request,
                    SpillResult* result);
  void FindCandidates(TaskConsumers& task, const SpillRequest& request,
                      SpillCandidates& candidates);
  Choice Choose(const TaskConsumers& task, SpillCandidates& candidates, int64_t bytes,
                const SpillRequest& request, bool may_wait);
  bool AskAndUnlock(SpillConsumer& consumer, uint64_t bytes, uint64_t charged_before,
                    SpillRound* round, const SpillRequest& request, SpillResult* result);
  bool AskReclaimerAndUnlock(SpillConsumer& consumer, const SpillRequest& request,
                             SpillResult* result, uint64_t* returned);
  void AwaitInFlightAndUnlock(SpillConsumer& consumer, const SpillRequest& request,
                              SpillResult* result);
  void AwaitCall(SpillConsumer& consumer, uint32_t seen, const SpillRequest& request,
                 SpillResult* result);

  SpillHost& host_;
  Mutex lock_;
  ConsumerTable table_;
  HookWatch watch_;
  Reclaimer reclaimer_;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_HOOKS_SPILL_HOOKS_H_
