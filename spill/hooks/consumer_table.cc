#include "spill/hooks/consumer_table.h"

#include <cerrno>

namespace taskmem {
namespace {

constexpr int kUsedBits = 48;

// Tells the bytes of a consumer from those of a later one in its place.
uint64_t UsedTag(uint32_t generation) { return uint64_t{generation & 0xffff} << kUsedBits; }

uint64_t AtMost(uint64_t bytes) { return bytes < kMaxUsedBytes ? bytes : kMaxUsedBytes; }

uint32_t GenerationOf(uint64_t id) { return static_cast<uint32_t>(id >> 32); }

}  // namespace

bool ConsumerTable::Grow(Sizes seen) {
  return places_.GrowFrom(seen.places) && tasks_.GrowFrom(seen.tasks);
}

void ConsumerTable::TakeGrown() {
  for (; taken_places_ < places_.size(); ++taken_places_) {
    SpillConsumer* const place = places_.At(taken_places_);
    place->index = taken_places_;
    place->next = free_places_;
    free_places_ = place;
  }
  for (; taken_tasks_ < tasks_.size(); ++taken_tasks_) {
    TaskConsumers* const task = tasks_.At(taken_tasks_);
    task->next = free_tasks_;
    free_tasks_ = task;
  }
}

SpillConsumer* ConsumerTable::Add(const SpillConsumerOptions& options) {
  TaskConsumers* task = FindTask(options.task);
  if (task == nullptr) {
    task = free_tasks_;
    free_tasks_ = task->next;
    task->key = options.task;
    TaskConsumers*& bucket = buckets_[Bucket(options.task)];
    task->next = bucket;
    bucket = task;
  }
  ++task->users;
  ++task->consumers;
  if (options.runs_on == SpillThread::kReclaimer) ++task->reclaimer_consumers;

  SpillConsumer* const consumer = free_places_;
  free_places_ = consumer->next;
  consumer->task = task;
  consumer->next = nullptr;
  consumer->previous = task->last;
  (task->last != nullptr ? task->last->next : task->first) = consumer;
  task->last = consumer;

  consumer->number = ++last_number_;
  consumer->spill = options.spill;
  consumer->context = options.context;
  consumer->task_key = options.task;
  consumer->mode = options.mode;
  consumer->runs_on = options.runs_on;
  uint32_t length = 0;
  while (options.name != nullptr && options.name[length] != '\0' && length < kSpillNameBytes - 1) {
    consumer->name[length] = options.name[length];
    ++length;
  }
  consumer->name[length] = '\0';
  ++consumer->generation;
  consumer->used.store(UsedTag(consumer->generation) | AtMost(options.used_bytes),
                       std::memory_order_relaxed);
  consumer->id.store(uint64_t{consumer->generation} << 32 | consumer->index,
                     std::memory_order_release);
  consumers_.fetch_add(1, std::memory_order_relaxed);
  return consumer;
}

SpillConsumer* ConsumerTable::Place(uint64_t id) const {
  if (id == 0) return nullptr;
  SpillConsumer* const place = places_.At(static_cast<uint32_t>(id));
  return place != nullptr && place->id.load(std::memory_order_acquire) == id ? place : nullptr;
}

SpillConsumer* ConsumerTable::Find(uint64_t id) const { return Place(id); }

void ConsumerTable::Unlist(SpillConsumer& consumer) {
  TaskConsumers& task = *consumer.task;
  (consumer.previous != nullptr ? consumer.previous->next : task.first) = consumer.next;
  (consumer.next != nullptr ? consumer.next->previous : task.last) = consumer.previous;
  consumer.task = nullptr;
  // A report that comes late does not find its tag.
  consumer.used.store(UsedTag(consumer.generation + 1), std::memory_order_relaxed);
  --task.consumers;
  if (consumer.runs_on == SpillThread::kReclaimer) --task.reclaimer_consumers;
  consumers_.fetch_sub(1, std::memory_order_relaxed);
  Release(task);
}

void ConsumerTable::Remove(SpillConsumer& consumer) {
  consumer.id.store(0, std::memory_order_relaxed);
  // An id is never used again: the place is given up before its generations begin anew.
  if (consumer.generation == UINT32_MAX) return;
  consumer.next = free_places_;
  free_places_ = &consumer;
}

TaskConsumers* ConsumerTable::FindTask(uint64_t key) const {
  TaskConsumers* task = buckets_[Bucket(key)];
  while (task != nullptr && task->key != key) task = task->next;
  return task;
}

void ConsumerTable::Release(TaskConsumers& task) {
  if (--task.users > 0) return;
  TaskConsumers** link = &buckets_[Bucket(task.key)];
  while (*link != &task) link = &(*link)->next;
  *link = task.next;
  task.next = free_tasks_;
  free_tasks_ = &task;
}

int ConsumerTable::Report(uint64_t id, uint64_t bytes) {
  SpillConsumer* const place = Place(id);
  if (place == nullptr) return ENOENT;
  const uint64_t tag = UsedTag(GenerationOf(id));
  uint64_t used = place->used.load(std::memory_order_relaxed);
  do {
    if ((used & ~kMaxUsedBytes) != tag) return ENOENT;
  } while (
      !place->used.compare_exchange_weak(used, tag | AtMost(bytes), std::memory_order_relaxed));
  return 0;
}

int ConsumerTable::ReadUsed(uint64_t id, uint64_t* bytes) const {
  const SpillConsumer* const place = Place(id);
  if (place == nullptr) return ENOENT;
  const uint64_t used = place->used.load(std::memory_order_relaxed);
  if ((used & ~kMaxUsedBytes) != UsedTag(GenerationOf(id))) return ENOENT;
  *bytes = used & kMaxUsedBytes;
  return 0;
}

}  // namespace taskmem
