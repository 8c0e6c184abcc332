// One spill of a task: whom to ask, in which order, how often, and for whom to wait.
#include "accounting/base/debug.h"
#include "accounting/base/futex.h"
#include "spill/hooks/spill_hooks.h"

namespace taskmem {
namespace {

int64_t Signed(uint64_t bytes) {
  return bytes < uint64_t{INT64_MAX} ? static_cast<int64_t>(bytes) : INT64_MAX;
}

int64_t TimeLeft(const SpillRequest& request, const SpillResult& result) {
  return request.timeout_ns - Signed(result.waited_ns);
}

bool IsAskable(const SpillConsumer& consumer, const SpillRequest& request) {
  if (consumer.mode != request.mode) return false;
  // A soft spill must not run on threads that allocate.
  return !request.is_soft || consumer.runs_on == SpillThread::kReclaimer;
}

}  // namespace

struct SpillHooks::Choice {
  SpillConsumer* consumer = nullptr;
  SpillCandidate* candidate = nullptr;
  // Where there is no consumer: one whose call for somebody else is worth waiting for.
  SpillConsumer* in_flight = nullptr;
};

// Another thread of the task spills. What it frees is for all of them.
SpillResult SpillHooks::JoinAndUnlock(TaskConsumers& task, const SpillRequest& request) {
  const int mode = IndexOf(request.mode);
  std::atomic<uint32_t>& rounds_ended = task.rounds_ended[mode];
  const uint32_t seen = rounds_ended.load(std::memory_order_relaxed);
  const uint64_t freed_before = task.freed_bytes[mode];
  uint32_t collected = task.collects_wanted[mode].load(std::memory_order_relaxed);
  ++task.joined[mode];
  task.joined_thread[mode] = host_.ThreadId();
  lock_.Unlock();
  const int64_t start = MonotonicNs();
  const int64_t deadline = DeadlineIn(request.timeout_ns);
  int64_t now = start;
  while (now < deadline) {
    const uint32_t told = task.rounds_told[mode].load(std::memory_order_acquire);
    if (rounds_ended.load(std::memory_order_relaxed) != seen) break;
    const uint32_t wanted = task.collects_wanted[mode].load(std::memory_order_relaxed);
    if (wanted == collected) {
      FutexWait(task.rounds_told[mode], told, deadline);
    } else {
      collected = wanted;
      host_.CollectFreed(/*everywhere=*/false);
      task.collects_done[mode].fetch_add(1, std::memory_order_release);
      FutexWakeAll(task.collects_done[mode]);
    }
    now = MonotonicNs();
  }
  lock_.Lock();
  if (task.collects_wanted[mode].load(std::memory_order_relaxed) != collected) {
    // Nobody need wait for a thread that leaves.
    task.collects_done[mode].fetch_add(1, std::memory_order_release);
    FutexWakeAll(task.collects_done[mode]);
  }
  SpillResult result;
  result.has_joined = true;
  result.waited_ns = static_cast<uint64_t>(now - start);
  result.freed_bytes = task.freed_bytes[mode] - freed_before;
  --task.joined[mode];
  SpillRound* const round = task.rounds[mode];
  HookHang hang;
  bool has_hung = false;
  if (rounds_ended.load(std::memory_order_relaxed) == seen) {
    result.has_timed_out = true;
    // Nobody else waits for it. The next to come spills by itself, without that hook.
    if (request.timeout_ns > 0 && round != nullptr && round->asked != nullptr) {
      has_hung = NoteHung(*round->asked, &hang);
      task.rounds[mode] = nullptr;
    }
  }
  table_.Release(task);
  lock_.Unlock();
  if (has_hung) host_.NoteHang(hang);
  return result;
}

void SpillHooks::SpillInOrder(TaskConsumers& task, SpillRound* round, const SpillRequest& request,
                              SpillResult* result) {
  uint64_t missing = host_.MissingBytes(request, 0);
  if (missing == 0) return;
  SpillCandidates candidates;
  FindCandidates(task, request, candidates);
  // Calls in a row that freed memory of which nothing came here.
  int fruitless = 0;
  while (missing > 0) {
    const int64_t bytes = Doubled(Signed(missing), fruitless);
    const uint64_t charged_before = host_.ChargedBytes(request.task);
    lock_.Lock();
    const Choice choice = Choose(task, candidates, bytes, request, TimeLeft(request, *result) > 0);
    if (choice.consumer == nullptr) {
      if (choice.in_flight == nullptr || TimeLeft(request, *result) <= 0) {
        lock_.Unlock();
        return;
      }
      AwaitInFlightAndUnlock(*choice.in_flight, request, result);
      host_.CollectFreed(/*everywhere=*/true);
      missing = host_.MissingBytes(request, result->freed_bytes);
      continue;
    }
    const bool may_help = AskAndUnlock(*choice.consumer, static_cast<uint64_t>(bytes),
                                       charged_before, round, request, result);
    const uint64_t missing_before = missing;
    missing = host_.MissingBytes(request, result->freed_bytes);
    SpillCandidate& asked = *choice.candidate;
    if (!may_help) {
      asked.is_dropped = true;
      continue;
    }
    const bool is_fruitful = missing < missing_before;
    fruitless = is_fruitful ? 0 : fruitless + 1;
    asked.fruitless_spills = is_fruitful ? 0 : asked.fruitless_spills + 1;
    asked.is_dropped =
        asked.fruitless_spills == kMaxFruitlessSpills || ++asked.spills == kMaxSpills;
  }
}

// TMM-3: who may be asked, and what each uses now.
void SpillHooks::FindCandidates(TaskConsumers& task, const SpillRequest& request,
                                SpillCandidates& candidates) {
  lock_.Lock();
  while (task.consumers > candidates.capacity()) {
    const size_t capacity = size_t{task.consumers} * 2;
    lock_.Unlock();
    const bool has_room = candidates.Reserve(capacity);
    lock_.Lock();
    if (!has_room) break;  // those who came last are not asked
  }
  for (SpillConsumer* each = task.first; each != nullptr && !candidates.IsFull();
       each = each->next) {
    const uint64_t used = ConsumerTable::UsedBytes(*each);
    if (used == 0 || !IsAskable(*each, request)) continue;
    const bool is_trigger = each->id.load(std::memory_order_relaxed) == request.trigger;
    candidates.Add(is_trigger ? 0 : Signed(used), each->number);
  }
  lock_.Unlock();
}

// TMM-4: whom to ask for `bytes`; of equals, the last. Those in flight are passed over.
// `may_wait`: there is time to wait for hooks on other threads. Needs the lock.
SpillHooks::Choice SpillHooks::Choose(const TaskConsumers& task, SpillCandidates& candidates,
                                      int64_t bytes, const SpillRequest& request, bool may_wait) {
  Choice best;
  int64_t in_flight_key = 0;
  SpillConsumer* consumer = task.first;
  // Both are in ascending order of the consumers' numbers.
  for (SpillCandidate& candidate : candidates) {
    if (candidate.is_dropped) continue;
    while (consumer != nullptr && consumer->number < candidate.number) consumer = consumer->next;
    if (consumer == nullptr) break;
    if (consumer->number != candidate.number) continue;
    if (consumer->call != SpillConsumer::Call::kNone) {
      if (!consumer->is_hung && !request.is_soft &&
          (best.in_flight == nullptr || IsAsGoodToSpill(candidate.key, in_flight_key, bytes))) {
        best.in_flight = consumer;
        in_flight_key = candidate.key;
      }
      continue;
    }
    const bool is_for_others = consumer->runs_on == SpillThread::kReclaimer && !request.is_soft;
    if (is_for_others && (!may_wait || !reclaimer_.CanServe())) continue;
    if (best.candidate == nullptr || IsAsGoodToSpill(candidate.key, best.candidate->key, bytes)) {
      best.consumer = consumer;
      best.candidate = &candidate;
    }
  }
  return best;
}

// TMM-5: one consumer is asked. False: it freed nothing, and does not say so either.
bool SpillHooks::AskAndUnlock(SpillConsumer& consumer, uint64_t bytes, uint64_t charged_before,
                              SpillRound* round, const SpillRequest& request, SpillResult* result) {
  consumer.asked_bytes = bytes;
  consumer.trigger = request.trigger;
  uint64_t returned = 0;
  bool is_over = true;
  if (consumer.runs_on == SpillThread::kReclaimer && !request.is_soft) {
    is_over = AskReclaimerAndUnlock(consumer, request, result, &returned);
  } else {
    consumer.waiting_thread = 0;
    const bool starts_watch = BeginCall(consumer, /*is_awaited=*/false);
    if (round != nullptr) round->asked = &consumer;
    lock_.Unlock();
    if (starts_watch) watch_.StartThread();
    returned = RunHook(consumer, round);
    lock_.Lock();
    if (round != nullptr) round->asked = nullptr;
    const bool is_awaited = EndCall(consumer);
    lock_.Unlock();
    if (is_awaited) FutexWakeAll(consumer.calls_ended);
  }
  // Whoever runs it counts it, once it is over.
  if (!is_over) return false;
  SpillCount count = {request.task, bytes, 0, request.is_soft};
  const uint64_t freed = FreedBytes(count, charged_before, returned, round);
  count.freed_bytes = freed;
  result->asked_bytes += bytes;
  result->freed_bytes += freed;
  const uint64_t said = returned < bytes ? returned : bytes;
  if (said > freed) result->unseen_bytes += said - freed;
  ++result->calls;
  host_.Count(count);
  if (round != nullptr) {
    lock_.Lock();
    round->task->freed_bytes[IndexOf(request.mode)] += freed;
    lock_.Unlock();
  }
  // What a soft spill does not see belongs to threads at work: they will find it.
  return freed > 0 || (returned > 0 && !request.is_soft);
}

// False: the call is not over, or was not made.
bool SpillHooks::AskReclaimerAndUnlock(SpillConsumer& consumer, const SpillRequest& request,
                                       SpillResult* result, uint64_t* returned) {
  AwaitedCall awaited;
  TASKMEM_DCHECK(consumer.call == SpillConsumer::Call::kNone && consumer.asker == nullptr);
  consumer.call = SpillConsumer::Call::kQueued;
  consumer.asker = &awaited;
  consumer.waiting_thread = host_.ThreadId();
  ++consumer.waiting;
  const uint32_t seen = consumer.calls_ended.load(std::memory_order_relaxed);
  bool has_waited = reclaimer_.EnqueueAndUnlock(consumer);
  if (has_waited) AwaitCall(consumer, seen, request, result);
  TASKMEM_DELAY_POINT(call_awaited);
  lock_.Lock();
  if (!has_waited && !awaited.is_over && consumer.call == SpillConsumer::Call::kRunning) {
    // Another has started a thread, which has taken the call.
    has_waited = true;
    lock_.Unlock();
    AwaitCall(consumer, seen, request, result);
    lock_.Lock();
  }
  --consumer.waiting;
  HookHang hang;
  bool has_hung = false;
  // Neither in a child that was forked by a handler which interrupted the wait.
  if (consumer.asker == &awaited) {
    consumer.asker = nullptr;
    if (consumer.call == SpillConsumer::Call::kQueued) {
      reclaimer_.Withdraw(consumer);
      if (EndCall(consumer)) FutexWakeAll(consumer.calls_ended);
    } else {
      has_hung = NoteHung(consumer, &hang);
    }
  }
  lock_.Unlock();
  if (has_hung) host_.NoteHang(hang);
  result->has_timed_out |= has_waited && !awaited.is_over;
  *returned = awaited.returned_bytes;
  return awaited.was_made;
}

// A call that was made for somebody else.
void SpillHooks::AwaitInFlightAndUnlock(SpillConsumer& consumer, const SpillRequest& request,
                                        SpillResult* result) {
  ++consumer.waiting;
  consumer.waiting_thread = host_.ThreadId();
  const uint32_t seen = consumer.calls_ended.load(std::memory_order_relaxed);
  lock_.Unlock();
  AwaitCall(consumer, seen, request, result);
  lock_.Lock();
  --consumer.waiting;
  HookHang hang;
  bool has_hung = false;
  if (consumer.calls_ended.load(std::memory_order_relaxed) == seen) {
    has_hung = NoteHung(consumer, &hang);
    result->has_timed_out = true;
  }
  lock_.Unlock();
  if (has_hung) host_.NoteHang(hang);
}

// Until the call is over, or the request's time is.
void SpillHooks::AwaitCall(SpillConsumer& consumer, uint32_t seen, const SpillRequest& request,
                           SpillResult* result) {
  std::atomic<uint32_t>& calls_ended = consumer.calls_ended;
  const int64_t start = MonotonicNs();
  const int64_t deadline = DeadlineIn(TimeLeft(request, *result));
  int64_t now = start;
  while (calls_ended.load(std::memory_order_relaxed) == seen && now < deadline) {
    FutexWait(calls_ended, seen, deadline);
    now = MonotonicNs();
  }
  // At least 1: a wait that was over at once counts, too.
  result->waited_ns += static_cast<uint64_t>(now - start) + 1;
}

}  // namespace taskmem
