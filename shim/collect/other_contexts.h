// The contexts of other threads, collected on behalf of one request, as often as that is worth it.
#ifndef TASKMEM_SHIM_COLLECT_OTHER_CONTEXTS_H_
#define TASKMEM_SHIM_COLLECT_OTHER_CONTEXTS_H_

#include <cstdint>

#include "shim/collect/collect.h"
#include "shim/collect/orphan.h"
#include "shim/contexts/contexts_of.h"
#include "spill/reclaim/reclaim.h"

namespace taskmem {

extern LookPatience g_look_patience[kMaxTaskSlots + 1];

// The contexts of other threads, on behalf of one request of the slot's task, or of any.
class OtherContexts {
 public:
  void Choose(uint32_t slot) {
    slot_ = slot;
    is_due_ = Patience().IsDue();
  }
  bool AreDue() const { return is_due_; }

  // Afterwards the caller says whether they had something.
  void Collect(CollectFrom from) {
    if (from == CollectFrom::kEndedThreads) {
      looks_ = CollectParked(slot_);
      if (slot_ == kEverySlot) CollectOrphan();
    } else {
      looks_ = CollectSleepers(slot_);
    }
  }
  void Note(bool gave) {
    gave_ = gave_ || gave;
    Patience().Note(looks_, gave_);
  }

 private:
  LookPatience& Patience() const {
    return g_look_patience[slot_ < kMaxTaskSlots ? slot_ : kMaxTaskSlots];
  }

  uint32_t slot_ = kEverySlot;
  uint32_t looks_ = 0;
  bool is_due_ = false;
  bool gave_ = false;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_COLLECT_OTHER_CONTEXTS_H_
