// Which consumers there are, by id and by task.
#ifndef TASKMEM_SPILL_HOOKS_CONSUMER_TABLE_H_
#define TASKMEM_SPILL_HOOKS_CONSUMER_TABLE_H_

#include <atomic>
#include <cstdint>

#include "accounting/memory/memory_allocator.h"
#include "spill/hooks/spill_consumer.h"
#include "spill/hooks/stable_array.h"

namespace taskmem {

// Places are never given back: pointers to them stay readable. What says so needs no lock;
// everything else needs the lock of whoever owns the table.
class ConsumerTable {
 public:
  explicit ConsumerTable(const MemorySource& source) : places_(source), tasks_(source) {}
  ConsumerTable(const ConsumerTable&) = delete;
  ConsumerTable& operator=(const ConsumerTable&) = delete;

  // Needs no lock.
  bool IsEmpty() const { return consumers_.load(std::memory_order_relaxed) == 0; }

  // Whether Add finds places; if not, Grow makes some. Grow is called without the lock.
  // False: no memory.
  bool HasRoom() const { return free_places_ != nullptr && free_tasks_ != nullptr; }
  struct Sizes {
    uint32_t places;
    uint32_t tasks;
  };
  Sizes sizes() const { return {places_.size(), tasks_.size()}; }
  bool Grow(Sizes seen);
  // Takes what Grow has added into use.
  void TakeGrown();

  // Only while there is room.
  SpillConsumer* Add(const SpillConsumerOptions& options);
  // The consumer with that id; one that is unregistered, but whose call is in flight, too.
  SpillConsumer* Find(uint64_t id) const;
  // Takes it from its task: it is not asked again.
  void Unlist(SpillConsumer& consumer);
  // Its id is nobody's from here on. Unlisted, and no call is in flight.
  void Remove(SpillConsumer& consumer);

  TaskConsumers* FindTask(uint64_t key) const;
  // A user of the task leaves; without users it is gone.
  void Release(TaskConsumers& task);

  // 0 or ENOENT. Needs no lock, may be called anywhere.
  int Report(uint64_t id, uint64_t bytes);
  int ReadUsed(uint64_t id, uint64_t* bytes) const;

  static uint64_t UsedBytes(const SpillConsumer& consumer) {
    return consumer.used.load(std::memory_order_relaxed) & kMaxUsedBytes;
  }

  // Calls visit(SpillConsumer&) for every consumer there is, and visit(TaskConsumers&).
  template <typename Visit>
  void ForEachConsumer(Visit visit) {
    for (uint32_t i = 0; i < taken_places_; ++i) {
      SpillConsumer& place = *places_.At(i);
      if (place.id.load(std::memory_order_relaxed) != 0) visit(place);
    }
  }
  template <typename Visit>
  void ForEachTask(Visit visit) {
    for (TaskConsumers*& bucket : buckets_) {
      for (TaskConsumers* task = bucket; task != nullptr;) {
        TaskConsumers* const next = task->next;
        visit(*task);
        task = next;
      }
    }
  }

  // Where they are, for who reads this process's memory from outside.
  const void* arrays() const { return places_.segments(); }

 private:
  static constexpr uint32_t kBuckets = 4096;

  static uint32_t Bucket(uint64_t key) {
    return static_cast<uint32_t>((key * 0x9e3779b97f4a7c15u) >> 52);
  }
  SpillConsumer* Place(uint64_t id) const;

  StableArray<SpillConsumer> places_;
  StableArray<TaskConsumers> tasks_;
  uint32_t taken_places_ = 0;  // that are in use or free; later ones have just been added
  uint32_t taken_tasks_ = 0;
  SpillConsumer* free_places_ = nullptr;
  TaskConsumers* free_tasks_ = nullptr;
  TaskConsumers* buckets_[kBuckets] = {};
  uint64_t last_number_ = 0;
  std::atomic<uint32_t> consumers_{0};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_HOOKS_CONSUMER_TABLE_H_
