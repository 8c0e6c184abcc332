// Which contexts may have something that helps a task at its limit.
#ifndef TASKMEM_SHIM_CONTEXTS_CONTEXTS_OF_H_
#define TASKMEM_SHIM_CONTEXTS_CONTEXTS_OF_H_

#include <atomic>

#include "accounting/base/mutex.h"
#include "shim/contexts/context.h"
#include "shim/contexts/registry.h"

namespace taskmem {

// At the pools' limit memory of any task helps.
inline constexpr uint32_t kEverySlot = UINT32_MAX;

// From here on who collects for the slot's task comes to the context; until the pair is gone.
void ListPair(Context* context, Pair* pair);
void UnlistPair(Pair* pair);

// Guards the lists of pairs. For fork().
Mutex& SlotPairsMutex();

// Those that have a pair of the slot's task, as they are now, or all. What a task is charged
// for and has not in use lies there: in heaps of its pairs, and in large blocks that others
// freed. No lock is held while they are visited; contexts are never freed.
class ContextsOf {
 public:
  explicit ContextsOf(uint32_t slot);
  ~ContextsOf();
  ContextsOf(const ContextsOf&) = delete;
  ContextsOf& operator=(const ContextsOf&) = delete;

  uint32_t size() const { return size_; }
  Context* operator[](uint32_t i) const { return ContextAt(indexes_ != nullptr ? indexes_[i] : i); }

 private:
  // False: there are more, `size_` of them.
  bool List(uint32_t slot, uint32_t room);

  static constexpr uint32_t kFew = 32;

  uint32_t* indexes_ = nullptr;  // nullptr: all
  size_t bytes_ = 0;             // of memory of their own
  uint32_t size_ = 0;
  uint32_t few_[kFew];
};

// How often looking at all contexts of a task, or at all there are, is worth its cost: after a
// look at many that gave nothing, only every so many requests, of whatever thread. So n requests
// of n threads cost what n looks at a few contexts cost.
class LookPatience {
 public:
  bool IsDue() {
    uint32_t left = left_.load(std::memory_order_relaxed);
    while (left != 0 && !left_.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) {
    }
    return left == 0;
  }
  void Note(uint32_t contexts, bool gave) {
    left_.store(gave ? 0 : contexts / kContextsForEach, std::memory_order_relaxed);
  }

 private:
  static constexpr uint32_t kContextsForEach = 16;

  std::atomic<uint32_t> left_;  // requests until the next look
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CONTEXTS_CONTEXTS_OF_H_
