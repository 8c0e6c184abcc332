// What is tried for a request that its quota or the pools do not allow, in which order,
// before policy decides (limit_policy.h).
//
//   collect    what is free but still charged: this thread's, ended threads', sleeping ones'
//   evict      blocks of the store, so that the pools have what the request needs
//   spill      the task's consumers
//   overflow   the request itself goes to a file instead of memory
//   wait       for what other tasks give back, where policy allows it
//
// After each step that gave something the request is tried again.
#ifndef TASKMEM_SPILL_RECLAIM_RECLAIM_H_
#define TASKMEM_SPILL_RECLAIM_RECLAIM_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

enum class ReclaimStep : uint8_t { kCollect, kEvict, kSpill, kOverflow, kWait };
inline constexpr int kReclaimSteps = 5;

// What each step came to.
struct ReclaimReport {
  struct Step {
    bool was_tried = false;
    uint64_t bytes = 0;  // that it gave back, acquired or placed
  };
  Step steps[kReclaimSteps];

  Step& operator[](ReclaimStep step) { return steps[static_cast<int>(step)]; }
  const Step& operator[](ReclaimStep step) const { return steps[static_cast<int>(step)]; }

  // "tried: collect 12.0 KiB, evict 0 B, spill 3.0 MiB", in the order above; "nothing could
  // be tried" where no step was. Cut where `text` is full.
  void Describe(char* text, size_t text_bytes) const;
};

// Whom a step collects from, from the cheapest on.
enum class CollectFrom : uint8_t { kThisThread, kEndedThreads, kSleepingThreads };

// The request, and the steps on its behalf. Called on the thread that allocates, with no
// lock held. The defaults have nothing to give.
class ReclaimHost {
 public:
  // True: the request has been served.
  virtual bool TryAgain() { return false; }
  // False: this step is not worth its cost now.
  virtual bool MayCollect(CollectFrom /*from*/) { return false; }
  // The next return how many bytes the step gave; all may be asked several times.
  virtual uint64_t Collect(CollectFrom /*from*/) { return 0; }
  virtual bool MayEvict() { return false; }
  virtual uint64_t EvictBlocks() { return 0; }
  virtual bool MaySpill() { return false; }
  virtual uint64_t SpillConsumers() { return 0; }
  virtual bool MayOverflow() { return false; }
  // Serves the request from the overflow file; 0: could not.
  virtual uint64_t TakeFromOverflow() { return 0; }
  virtual bool MayWait() { return false; }
  virtual uint64_t WaitForMemory() { return 0; }

 protected:
  ~ReclaimHost() = default;
};

// True: the request has been served. Ends: a step that gives nothing is not repeated, and
// one whose gain others take first is repeated a bounded number of times.
bool Reclaim(ReclaimHost& host, ReclaimReport* report);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_RECLAIM_RECLAIM_H_
