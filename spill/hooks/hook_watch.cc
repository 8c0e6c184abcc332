#include "spill/hooks/hook_watch.h"

#include <cstring>

#include "accounting/base/futex.h"

namespace taskmem {
namespace {

// A process whose last thread of its own ends must end.
constexpr int64_t kLongestSleepNs = 1'000'000'000;

// Of those that wait for the call, or for the round that it belongs to.
int WaitingThread(const SpillConsumer& consumer) {
  const TaskConsumers* const task = consumer.task;
  const int mode = IndexOf(consumer.mode);
  const bool is_joined = task != nullptr && task->joined[mode] > 0 &&
                         task->rounds[mode] != nullptr && task->rounds[mode]->asked == &consumer;
  return is_joined ? task->joined_thread[mode] : consumer.waiting_thread;
}

}  // namespace

bool HookWatch::Begin(SpillConsumer& consumer, bool is_awaited) {
  consumer.thread = pthread_self();
  consumer.thread_id = host_.ThreadId();
  consumer.began_ns = MonotonicNs();
  consumer.is_watched = true;
  consumer.previous_watched = nullptr;
  consumer.next_watched = first_;
  if (first_ != nullptr) first_->previous_watched = &consumer;
  first_ = &consumer;
  ++begun_;
  if (is_awaited || has_thread_ || is_stopped_) return false;
  has_thread_ = true;
  return true;
}

void HookWatch::StartThread() {
  if (host_.StartWatchThread(Watch, this)) return;
  lock_.Lock();
  has_thread_ = false;
  lock_.Unlock();
}

void HookWatch::End(SpillConsumer& consumer) {
  if (!consumer.is_watched) return;
  consumer.is_watched = false;
  (consumer.previous_watched != nullptr ? consumer.previous_watched->next_watched : first_) =
      consumer.next_watched;
  if (consumer.next_watched != nullptr) {
    consumer.next_watched->previous_watched = consumer.previous_watched;
  }
}

bool HookWatch::TakeHang(SpillConsumer& consumer, int waiting_thread, HookHang* hang) {
  if (!consumer.is_watched) return false;
  End(consumer);
  hang->task = consumer.task_key;
  memcpy(hang->name, consumer.name, sizeof(hang->name));
  hang->hook_thread = consumer.thread_id;
  hang->waiting_thread = waiting_thread;
  hang->is_on_allocating_thread = consumer.runs_on == SpillThread::kAllocating;
  hang->running_ns = MonotonicNs() - consumer.began_ns;
  return true;
}

void HookWatch::Watch() {
  const int64_t patience = host_.HangNs();
  lock_.Lock();
  for (uint64_t seen = 0; !is_stopped_ && (first_ != nullptr || begun_ != seen);) {
    seen = begun_;
    const int64_t now = MonotonicNs();
    int64_t wake = now + (patience < kLongestSleepNs ? patience : kLongestSleepNs);
    SpillConsumer* hanging = nullptr;
    for (SpillConsumer* each = first_; each != nullptr; each = each->next_watched) {
      const int64_t left = patience - (now - each->began_ns);
      if (left <= 0) hanging = each;
      if (left < wake - now) wake = now + left;
    }
    HookHang hang;
    if (hanging != nullptr) {
      const bool is_told = TakeHang(*hanging, WaitingThread(*hanging), &hang);
      seen = begun_ - 1;  // looks again
      lock_.Unlock();
      if (is_told) host_.NoteHang(hang);
    } else {
      const uint32_t changes = changes_.load(std::memory_order_relaxed);
      lock_.Unlock();
      FutexWait(changes_, changes, wake);
    }
    lock_.Lock();
  }
  has_thread_ = false;
  changes_.fetch_add(1, std::memory_order_relaxed);
  const bool is_stopped = is_stopped_;
  lock_.Unlock();
  if (is_stopped) FutexWakeAll(changes_);
}

void HookWatch::Stop() {
  lock_.Lock();
  is_stopped_ = true;
  while (has_thread_) {
    const uint32_t seen = changes_.fetch_add(1, std::memory_order_relaxed) + 1;
    lock_.Unlock();
    FutexWakeAll(changes_);
    FutexWait(changes_, seen);
    lock_.Lock();
  }
  lock_.Unlock();
}

void HookWatch::AfterFork() { has_thread_ = false; }

}  // namespace taskmem
