#include "spill/hooks/spill_hooks.h"

#include <cerrno>
#include <cstring>

#include "accounting/base/debug.h"
#include "accounting/base/futex.h"

namespace taskmem {
namespace {

// The hook this thread is inside of.
__thread SpillConsumer* t_call __attribute__((tls_model("initial-exec"))) = nullptr;
// The task this thread spills for.
__thread TaskConsumers* t_held __attribute__((tls_model("initial-exec"))) = nullptr;

}  // namespace

struct SpillHooks::Running {
  SpillHooks* hooks;
  SpillConsumer* consumer;
  SpillRound* round;
  SpillConsumer* outer;
  HookState state;
};

SpillHooks::SpillHooks(SpillHost& host, const MemorySource& memory)
    : host_(host), table_(memory), watch_(lock_, host), reclaimer_(lock_, host, *this) {}

SpillHooks::~SpillHooks() {
  reclaimer_.Stop();
  watch_.Stop();
}

bool SpillHooks::IsInHook() { return t_call != nullptr; }

// Consumers.

int SpillHooks::Register(const SpillConsumerOptions& options, uint64_t* id) {
  if (options.spill == nullptr || id == nullptr) return EINVAL;
  lock_.Lock();
  for (;;) {
    table_.TakeGrown();
    if (table_.HasRoom()) break;
    const ConsumerTable::Sizes sizes = table_.sizes();
    lock_.Unlock();
    if (!table_.Grow(sizes)) return ENOMEM;
    lock_.Lock();
  }
  *id = table_.Add(options)->id.load(std::memory_order_relaxed);
  lock_.Unlock();
  return 0;
}

int SpillHooks::Unregister(uint64_t id) {
  lock_.Lock();
  SpillConsumer* const consumer = table_.Find(id);
  if (consumer == nullptr) {
    lock_.Unlock();
    return ENOENT;
  }
  int result = consumer->task == nullptr ? ENOENT : 0;
  if (consumer->task != nullptr) table_.Unlist(*consumer);
  if (consumer->call == SpillConsumer::Call::kQueued) {
    reclaimer_.Withdraw(*consumer);
    if (EndCall(*consumer)) FutexWakeAll(consumer->calls_ended);
  } else if (consumer->call == SpillConsumer::Call::kNone) {
    table_.Remove(*consumer);
  }
  // While it is there, its call is in flight.
  while (table_.Find(id) != nullptr && !pthread_equal(consumer->thread, pthread_self())) {
    if (t_call != nullptr) {
      SpillConsumer* awaited = consumer;
      while (awaited != nullptr && awaited != t_call) awaited = awaited->awaits;
      if (awaited == t_call) {
        result = EDEADLK;
        break;
      }
      t_call->awaits = consumer;
    }
    ++consumer->waiting;
    const uint32_t seen = consumer->calls_ended.load(std::memory_order_relaxed);
    lock_.Unlock();
    FutexWait(consumer->calls_ended, seen);
    lock_.Lock();
    --consumer->waiting;
    if (t_call != nullptr) t_call->awaits = nullptr;
  }
  lock_.Unlock();
  return result;
}

void SpillHooks::EndTask(uint64_t key) {
  if (table_.IsEmpty()) return;
  lock_.Lock();
  TaskConsumers* const task = table_.FindTask(key);
  // As its last consumer goes, the task may go.
  for (uint32_t left = task != nullptr ? task->consumers : 0; left > 0; --left) {
    SpillConsumer* const consumer = task->first;
    table_.Unlist(*consumer);
    if (consumer->call == SpillConsumer::Call::kQueued) {
      reclaimer_.Withdraw(*consumer);
      if (EndCall(*consumer)) FutexWakeAll(consumer->calls_ended);
    } else if (consumer->call == SpillConsumer::Call::kNone) {
      table_.Remove(*consumer);
    }
  }
  lock_.Unlock();
}

// Calls.

uint64_t SpillHooks::RunHook(SpillConsumer& consumer, SpillRound* round) {
  Running running = {this, &consumer, round, t_call, {}};
  host_.EnterHook(&running.state);
  HookCall call = {};
  // They stay while a call is in flight.
  call.callback = consumer.spill;
  call.context = consumer.context;
  call.bytes_needed = consumer.asked_bytes;
  call.trigger = consumer.trigger;
  call.thread_ended = HookThreadEnded;
  call.thread_ended_argument = &running;
  t_call = &consumer;
  CallHook(call);
  t_call = running.outer;
  host_.LeaveHook(running.state);
  if (call.has_thrown) host_.NoteException(consumer.task_key, consumer.name);
  return call.has_thrown ? 0 : call.returned;
}

// pthread_exit or a cancellation inside a hook: the thread does not come back.
void SpillHooks::HookThreadEnded(void* packed) {
  const auto& running = *static_cast<const Running*>(packed);
  SpillHooks& hooks = *running.hooks;
  t_call = running.outer;
  TaskConsumers* const soft = running.round == nullptr ? t_held : nullptr;
  hooks.lock_.Lock();
  const bool is_awaited = hooks.EndCall(*running.consumer);
  if (running.round != nullptr) hooks.EndRound(*running.round);
  const uint64_t task = soft != nullptr ? soft->key : 0;
  if (soft != nullptr) hooks.table_.Release(*soft);
  t_held = nullptr;
  hooks.reclaimer_.NoteThreadEnded();
  hooks.lock_.Unlock();
  if (is_awaited) FutexWakeAll(running.consumer->calls_ended);
  if (soft != nullptr) hooks.host_.SoftSpillEnded(task, 0);
  hooks.host_.AbandonHook(running.state);
}

bool SpillHooks::BeginCall(SpillConsumer& consumer, bool is_awaited) {
  TASKMEM_DCHECK(consumer.call ==
                 (is_awaited ? SpillConsumer::Call::kQueued : SpillConsumer::Call::kNone));
  TASKMEM_DCHECK((consumer.asker != nullptr) == is_awaited);
  TASKMEM_DCHECK(consumer.task != nullptr && !consumer.is_hung && !consumer.is_watched);
  consumer.call = SpillConsumer::Call::kRunning;
  return watch_.Begin(consumer, is_awaited);
}

bool SpillHooks::EndCall(SpillConsumer& consumer, uint64_t returned_bytes) {
  TASKMEM_DCHECK(consumer.call != SpillConsumer::Call::kNone);
  const bool was_made = consumer.call == SpillConsumer::Call::kRunning;
  TASKMEM_DCHECK(was_made || (!consumer.is_hung && !consumer.is_watched));
  if (consumer.asker != nullptr) *consumer.asker = {true, was_made, returned_bytes};
  consumer.asker = nullptr;
  if (consumer.is_hung && consumer.runs_on == SpillThread::kReclaimer) reclaimer_.NoteRecovered();
  watch_.End(consumer);
  consumer.call = SpillConsumer::Call::kNone;
  consumer.is_hung = false;
  const bool is_awaited = consumer.waiting > 0;
  consumer.calls_ended.fetch_add(1, std::memory_order_relaxed);
  if (consumer.task == nullptr) table_.Remove(consumer);
  return is_awaited;
}

bool SpillHooks::NoteHung(SpillConsumer& consumer, HookHang* hang) {
  if (consumer.is_hung || consumer.call != SpillConsumer::Call::kRunning) return false;
  consumer.is_hung = true;
  if (consumer.runs_on == SpillThread::kReclaimer) reclaimer_.NoteHung();
  return watch_.TakeHang(consumer, host_.ThreadId(), hang);
}

void SpillHooks::EndRound(SpillRound& round) {
  TaskConsumers& task = *round.task;
  const int mode = IndexOf(round.mode);
  if (task.rounds[mode] == &round) task.rounds[mode] = nullptr;
  task.rounds_ended[mode].fetch_add(1, std::memory_order_relaxed);
  task.rounds_told[mode].fetch_add(1, std::memory_order_release);
  if (task.joined[mode] > 0) FutexWakeAll(task.rounds_told[mode]);
  t_held = nullptr;
  table_.Release(task);
}

// What the task holds less than before the call. The answer of the hook only says whether
// it is worth looking further.
uint64_t SpillHooks::FreedBytes(const SpillCount& call, uint64_t charged_before, uint64_t returned,
                                const SpillRound* round) {
  const auto freed = [&] {
    const uint64_t charged = host_.ChargedBytes(call.task);
    return charged_before > charged ? charged_before - charged : 0;
  };
  const uint64_t enough = call.asked_bytes < returned ? call.asked_bytes : returned;
  host_.CollectFreed(/*everywhere=*/false);
  if (freed() >= enough) return freed();
  if (round != nullptr) CollectOfJoined(*round);
  if (freed() < enough) host_.CollectFreed(/*everywhere=*/true);
  return freed();
}

// What was freed of the memory of threads that wait for this round only they can collect.
void SpillHooks::CollectOfJoined(const SpillRound& round) {
  // More than that is taken for a thread that has stopped waiting.
  constexpr int64_t kPatienceNs = 5'000'000;
  TaskConsumers& task = *round.task;
  const int mode = IndexOf(round.mode);
  lock_.Lock();
  const uint32_t joined = task.joined[mode];
  const uint32_t done_before = task.collects_done[mode].load(std::memory_order_relaxed);
  if (joined > 0) {
    task.collects_wanted[mode].fetch_add(1, std::memory_order_relaxed);
    task.rounds_told[mode].fetch_add(1, std::memory_order_release);
  }
  lock_.Unlock();
  if (joined == 0) return;
  FutexWakeAll(task.rounds_told[mode]);
  const int64_t deadline = DeadlineIn(kPatienceNs);
  for (;;) {
    const uint32_t done = task.collects_done[mode].load(std::memory_order_acquire);
    if (done - done_before >= joined || MonotonicNs() >= deadline) return;
    FutexWait(task.collects_done[mode], done, deadline);
  }
}

void SpillHooks::RunCall(SpillConsumer& consumer) {
  const SpillCount asked = {consumer.task_key, consumer.asked_bytes, 0, false};
  const uint64_t charged_before = host_.ChargedBytes(asked.task);
  const uint64_t returned = RunHook(consumer, nullptr);
  TASKMEM_DELAY_POINT(hook_returned);
  lock_.Lock();
  const bool is_abandoned = consumer.asker == nullptr;
  const bool is_awaited = EndCall(consumer, returned);
  reclaimer_.NoteDone();
  lock_.Unlock();
  if (is_awaited) FutexWakeAll(consumer.calls_ended);
  if (!is_abandoned) return;
  SpillCount count = asked;
  count.freed_bytes = FreedBytes(asked, charged_before, returned, nullptr);
  host_.Count(count);
}

// Spills.

SpillResult SpillHooks::Spill(const SpillRequest& request) {
  SpillResult result;
  if (IsInHook() || table_.IsEmpty()) return result;
  lock_.Lock();
  TaskConsumers* const task = table_.FindTask(request.task);
  if (task == nullptr || task->consumers == 0) {
    lock_.Unlock();
    return result;
  }
  SpillRound*& shared = task->rounds[IndexOf(request.mode)];
  ++task->users;
  if (shared != nullptr) return JoinAndUnlock(*task, request);
  SpillRound round = {pthread_self(), task, request.mode, nullptr};
  shared = &round;
  t_held = task;
  lock_.Unlock();
  SpillInOrder(*task, &round, request, &result);
  lock_.Lock();
  EndRound(round);
  lock_.Unlock();
  return result;
}

bool SpillHooks::RequestSoftSpill(uint64_t key) {
  if (table_.IsEmpty()) return false;
  lock_.Lock();
  TaskConsumers* const task = table_.FindTask(key);
  if (task == nullptr || task->reclaimer_consumers == 0 || task->is_soft_queued) {
    lock_.Unlock();
    return false;
  }
  ++task->users;
  if (reclaimer_.EnqueueSoftAndUnlock(*task)) return true;
  lock_.Lock();
  const bool is_left = task->is_soft_queued;
  if (is_left) {
    reclaimer_.WithdrawSoft(*task);
    table_.Release(*task);
  }
  lock_.Unlock();
  return !is_left;
}

void SpillHooks::RunSoftSpill(TaskConsumers& task) {
  SpillRequest request;
  request.task = task.key;
  request.is_soft = true;
  SpillResult result;
  t_held = &task;
  SpillInOrder(task, nullptr, request, &result);
  lock_.Lock();
  t_held = nullptr;
  table_.Release(task);
  reclaimer_.NoteDone();
  lock_.Unlock();
  host_.SoftSpillEnded(request.task, result.unseen_bytes);
}

// Threads that do not exist here are forgotten, with what they were doing.
void SpillHooks::ResetInChild() {
  lock_.ResetAfterFork();
  if (!lock_.TryLock()) return;
  const pthread_t self = pthread_self();
  table_.ForEachConsumer([&](SpillConsumer& consumer) {
    consumer.waiting = 0;
    consumer.awaits = nullptr;
    consumer.is_hung = false;
    if (consumer.call == SpillConsumer::Call::kNone) return;
    // It is gone, or is this thread, in a signal handler amid its wait: then it finds itself gone.
    consumer.asker = nullptr;
    if (consumer.call == SpillConsumer::Call::kRunning && pthread_equal(consumer.thread, self)) {
      return;
    }
    EndCall(consumer);
  });
  table_.ForEachTask([&](TaskConsumers& task) {
    for (int mode = 0; mode < kMemoryModes; ++mode) {
      SpillRound*& round = task.rounds[mode];
      if (round != nullptr && !pthread_equal(round->thread, self)) round = nullptr;
      task.joined[mode] = 0;
    }
    task.is_soft_queued = false;
    task.users = task.consumers + (&task == t_held ? 1 : 0) + 1;
    table_.Release(task);
  });
  reclaimer_.AfterFork();
  watch_.AfterFork();
  lock_.Unlock();
}

}  // namespace taskmem
