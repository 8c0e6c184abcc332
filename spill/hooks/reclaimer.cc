#include "spill/hooks/reclaimer.h"

namespace taskmem {
namespace {

__thread bool t_is_reclaimer __attribute__((tls_model("initial-exec"))) = false;

}  // namespace

bool Reclaimer::EnqueueAndUnlock(SpillConsumer& consumer) {
  TASKMEM_DCHECK(consumer.call == SpillConsumer::Call::kQueued);
  consumer.next_queued = nullptr;
  (last_call_ != nullptr ? last_call_->next_queued : first_call_) = &consumer;
  last_call_ = &consumer;
  ++queued_;
  return ProvideThreadAndUnlock();
}

bool Reclaimer::EnqueueSoftAndUnlock(TaskConsumers& task) {
  task.next_soft = nullptr;
  (last_soft_ != nullptr ? last_soft_->next_soft : first_soft_) = &task;
  last_soft_ = &task;
  task.is_soft_queued = true;
  ++queued_;
  return ProvideThreadAndUnlock();
}

bool Reclaimer::ProvideThreadAndUnlock() {
  const bool starts = queued_ > threads_ - busy_ && threads_ < kMaxThreads && !is_stopped_;
  if (starts) ++threads_;
  work_added_.fetch_add(1, std::memory_order_release);
  lock_.Unlock();
  TASKMEM_DELAY_POINT(call_queued);
  FutexWake(work_added_, 1);
  if (!starts || host_.StartThread(Serve, this)) return true;
  TASKMEM_DELAY_POINT(no_thread_started);
  lock_.Lock();
  --threads_;
  const bool has_threads = threads_ > 0;
  lock_.Unlock();
  return has_threads;
}

void Reclaimer::Withdraw(SpillConsumer& consumer) {
  TASKMEM_DCHECK(consumer.call == SpillConsumer::Call::kQueued);
  SpillConsumer* before = nullptr;
  for (SpillConsumer* each = first_call_; each != nullptr; each = each->next_queued) {
    if (each == &consumer) {
      (before != nullptr ? before->next_queued : first_call_) = each->next_queued;
      if (last_call_ == each) last_call_ = before;
      --queued_;
      return;
    }
    before = each;
  }
  TASKMEM_DCHECK(false);  // what is queued is in the queue
}

void Reclaimer::WithdrawSoft(TaskConsumers& task) {
  TaskConsumers* before = nullptr;
  for (TaskConsumers* each = first_soft_; each != nullptr; each = each->next_soft) {
    if (each == &task) {
      (before != nullptr ? before->next_soft : first_soft_) = each->next_soft;
      if (last_soft_ == each) last_soft_ = before;
      each->is_soft_queued = false;
      --queued_;
      return;
    }
    before = each;
  }
  TASKMEM_DCHECK(false);
}

SpillConsumer* Reclaimer::TakeCall() {
  SpillConsumer* const consumer = first_call_;
  if (consumer != nullptr) Withdraw(*consumer);
  return consumer;
}

TaskConsumers* Reclaimer::TakeSoft() {
  TaskConsumers* const task = first_soft_;
  if (task != nullptr) WithdrawSoft(*task);
  return task;
}

void Reclaimer::Serve() {
  t_is_reclaimer = true;
  lock_.Lock();
  while (!is_stopped_) {
    SpillConsumer* const consumer = TakeCall();
    TaskConsumers* const task = consumer == nullptr ? TakeSoft() : nullptr;
    if (consumer != nullptr || task != nullptr) {
      ++busy_;
      CheckCounts();
      if (consumer != nullptr) work_.BeginQueuedCall(*consumer);
      lock_.Unlock();
      TASKMEM_DELAY_POINT(work_taken);
      if (consumer != nullptr) {
        work_.RunCall(*consumer);
      } else {
        work_.RunSoftSpill(*task);
      }
      lock_.Lock();
      continue;
    }
    const uint32_t seen = work_added_.load(std::memory_order_relaxed);
    lock_.Unlock();
    TASKMEM_DELAY_POINT(no_work);
    const int64_t deadline = DeadlineIn(kIdleNs);
    FutexWait(work_added_, seen, deadline);
    lock_.Lock();
    if (queued_ == 0 && MonotonicNs() >= deadline) break;
  }
  --threads_;
  CheckCounts();
  threads_ended_.fetch_add(1, std::memory_order_relaxed);
  const bool is_stopped = is_stopped_;
  lock_.Unlock();
  // Where it is stopped, whoever does that waits.
  if (is_stopped) FutexWakeAll(threads_ended_);
  t_is_reclaimer = false;
}

void Reclaimer::NoteThreadEnded() {
  if (!t_is_reclaimer) return;
  t_is_reclaimer = false;
  --busy_;
  --threads_;
  threads_ended_.fetch_add(1, std::memory_order_relaxed);
  FutexWakeAll(threads_ended_);
}

void Reclaimer::Stop() {
  lock_.Lock();
  is_stopped_ = true;
  while (threads_ > busy_) {
    const uint32_t seen = threads_ended_.load(std::memory_order_relaxed);
    work_added_.fetch_add(1, std::memory_order_relaxed);
    lock_.Unlock();
    FutexWakeAll(work_added_);
    FutexWait(threads_ended_, seen);
    lock_.Lock();
  }
  lock_.Unlock();
}

void Reclaimer::AfterFork() {
  first_call_ = last_call_ = nullptr;
  first_soft_ = last_soft_ = nullptr;
  queued_ = 0;
  // A hook on one of these threads may fork.
  threads_ = busy_ = t_is_reclaimer ? 1 : 0;
  hung_ = 0;
}

}  // namespace taskmem
