// Consumers that are asked to spill: who, in which order, and what ends meanwhile.
#include <pthread.h>

#include <cstdio>
#include <cstring>

#include "accounting/base/futex.h"
#include "accounting/base/memory_log.h"
#include "accounting/spark/task_memory_manager.h"
#include "accounting/tasks/spill_candidates.h"

namespace taskmem {

// A consumer that is inside Spill, on the stack of the thread that called it. Linked and
// read under the manager's lock.
struct RunningSpill {
  MemoryConsumer* consumer;  // nullptr: it was destroyed, inside its own Spill
  pthread_t thread;
  RunningSpill* next = nullptr;
  // What is known afterwards.
  bool has_released = true;
  char failed_name[256] = "";  // of a consumer that failed: it may be gone by now
};

namespace {

// What a consumer's failure is to those who asked for memory (TMM-7).
MemoryError SpillError(const MemoryError& failure, const char* name) {
  const bool is_interrupted =
      failure.code == ErrorCode::kSpillInterrupted || failure.code == ErrorCode::kInterrupted;
  if (is_interrupted) return MemoryError(ErrorCode::kSpillInterrupted, failure.detail);
  char message[sizeof(failure.detail)];
  if (failure.code == ErrorCode::kSpillFailed) {
    memcpy(message, failure.detail, sizeof(message));
  } else {
    Describe(failure, message, sizeof(message));
  }
  char detail[sizeof(failure.detail) * 4];
  snprintf(detail, sizeof(detail), "%s : %s", name, message);
  return MemoryError(ErrorCode::kSpillFailed, detail);
}

}  // namespace

// TMM-3: who may be asked, and what each uses now.
void TaskMemoryManager::FindCandidates(const MemoryConsumer& requester,
                                       SpillCandidates& candidates) {
  mutex_.Lock();
  while (listed_ > candidates.capacity()) {
    const size_t capacity = listed_ * 2;
    mutex_.Unlock();
    const bool has_room = candidates.Reserve(capacity);
    mutex_.Lock();
    if (!has_room) break;  // those who came last are not asked
  }
  for (MemoryConsumer* each = first_; each != nullptr && !candidates.IsFull(); each = each->next_) {
    const int64_t used = each->used();
    if (each->mode() != requester.mode() || used <= 0) continue;
    candidates.Add(each == &requester ? 0 : used, each->number_);
  }
  mutex_.Unlock();
}

// TMM-4: whom to ask for `bytes`; of equals, the last. nullptr: there is nobody left, or
// all of them spill for somebody else. Needs the lock.
MemoryConsumer* TaskMemoryManager::Choose(SpillCandidates& candidates, int64_t bytes,
                                          SpillCandidate** chosen) {
  MemoryConsumer* best = nullptr;
  MemoryConsumer* consumer = first_;
  // Both are in ascending order of the consumers' numbers.
  for (SpillCandidate& candidate : candidates) {
    if (candidate.is_dropped) continue;
    while (consumer != nullptr && consumer->number_ < candidate.number) consumer = consumer->next_;
    if (consumer == nullptr) break;
    if (consumer->number_ != candidate.number || consumer->running_spill_ != nullptr) continue;
    if (best == nullptr || IsAsGoodToSpill(candidate.key, (*chosen)->key, bytes)) {
      best = consumer;
      *chosen = &candidate;
    }
  }
  return best;
}

// TMM-5: one consumer is asked to spill `bytes`. False: there is nobody to ask. One that
// frees nothing, or in kTaskmem only says it did, is not asked again.
bool TaskMemoryManager::SpillOne(SpillCandidates& candidates, int64_t bytes,
                                 MemoryConsumer& requester, SpillAnswer* answer) {
  mutex_.Lock();
  MemoryConsumer* const consumer = Choose(candidates, bytes, &answer->candidate);
  if (consumer == nullptr) {
    mutex_.Unlock();
    return false;
  }
  RunningSpill spill = {consumer, pthread_self()};
  const Result<int64_t> freed = RunSpill(spill, bytes, requester);
  if (!freed.ok()) {
    LogLine(pools_.log(), LogLevel::kError, "Error while calling spill() on %s", spill.failed_name);
    answer->error = SpillError(freed.error(), spill.failed_name);
    return true;
  }
  if (*freed > 0 && (IsSpark() || spill.has_released)) {
    answer->freed = *freed;
  } else {
    answer->candidate->is_dropped = true;
  }
  return true;
}

// Needs the lock, and gives it up.
Result<int64_t> TaskMemoryManager::RunSpill(RunningSpill& spill, int64_t bytes,
                                            MemoryConsumer& trigger) {
  MemoryConsumer& consumer = *spill.consumer;
  const uint64_t released_before = consumer.released_.load(std::memory_order_relaxed);
  consumer.running_spill_ = &spill;
  spill.next = running_spills_;
  running_spills_ = &spill;
  mutex_.Unlock();

  const Result<int64_t> freed = consumer.Spill(bytes, &trigger);

  mutex_.Lock();
  RunningSpill** link = &running_spills_;
  while (*link != &spill) link = &(*link)->next;
  *link = spill.next;
  if (spill.consumer != nullptr) {
    spill.has_released = consumer.released_.load(std::memory_order_relaxed) != released_before;
    if (!freed.ok()) snprintf(spill.failed_name, sizeof(spill.failed_name), "%s", consumer.name_);
    consumer.running_spill_ = nullptr;
  }
  const bool is_awaited = leaving_threads_ > 0;
  if (is_awaited) spills_ended_.fetch_add(1, std::memory_order_relaxed);
  mutex_.Unlock();
  // The consumer may be gone from here on.
  if (is_awaited) FutexWakeAll(spills_ended_);
  return freed;
}

Result<int64_t> TaskMemoryManager::SpillAll(MemoryConsumer& consumer) {
  mutex_.Lock();
  if (consumer.running_spill_ != nullptr) {
    mutex_.Unlock();
    return int64_t{0};
  }
  RunningSpill spill = {&consumer, pthread_self()};
  return RunSpill(spill, INT64_MAX, consumer);
}

bool TaskMemoryManager::IsSpillingOnThisThread() const {
  const MutexLock lock(mutex_);
  for (const RunningSpill* spill = running_spills_; spill != nullptr; spill = spill->next) {
    if (pthread_equal(spill->thread, pthread_self())) return true;
  }
  return false;
}

void TaskMemoryManager::Leave(MemoryConsumer& consumer, bool is_destroyed) {
  mutex_.Lock();
  Unlist(consumer);
  while (RunningSpill* const spill = consumer.running_spill_) {
    if (pthread_equal(spill->thread, pthread_self())) {
      // Who called Spill must not look at it afterwards.
      if (is_destroyed) spill->consumer = nullptr;
      break;
    }
    ++leaving_threads_;
    const uint32_t seen = spills_ended_.load(std::memory_order_relaxed);
    mutex_.Unlock();
    FutexWait(spills_ended_, seen);
    mutex_.Lock();
    --leaving_threads_;
  }
  mutex_.Unlock();
}

}  // namespace taskmem
