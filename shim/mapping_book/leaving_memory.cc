#include "shim/mapping_book/leaving_memory.h"

#include <atomic>

#include "shim/mapping_book/locked_book.h"
#include "shim/mapping_book/residency_charges.h"
#include "shim/mapping_book/residency_look.h"
#include "shim/mapping_book/residency_ranges.h"

namespace taskmem {

// What is one task too many is left to the next look.
void LeavingMemory::Count(uint32_t slot, uint64_t bytes) {
  for (Part& part : parts_) {
    if (&part == parts_ + count_) {
      part = {slot, 0};
      ++count_;
    }
    if (part.slot == slot) {
      part.bytes += bytes;
      return;
    }
  }
}

LeavingMemory::LeavingMemory(Range range, Range other) {
  // Less is not worth a look of its own: enough of it together is.
  constexpr uint64_t kLittle = 1 << 20;
  constexpr uint64_t kShareOfTotal = 8;
  if (BytesByResidency() == 0 || HoldsBook()) return;
  uint64_t resident = 0;
  for (const Range& leaving : {range, other}) {
    ForEachByResidency(leaving.start, leaving.end, [&](const MappedRange& mapped) {
      const uint64_t bytes = BytesInMemory(mapped);
      resident += bytes;
      // What is shared may stay in memory elsewhere.
      if (!IsShared(mapped.tag)) Count(mapped.tag.slot, bytes);
    });
  }
  if (resident == 0) return;
  const uint64_t left = CountLeaving(resident);
  const uint64_t share = TotalByResidency() / kShareOfTotal;
  if (left < (share < kLittle ? kLittle : share)) {
    count_ = 0;
    return;
  }
  SampleResidency();
  look_ = EndedLooks();
}

void LeavingMemory::ItIsGone() {
  if (count_ == 0 || HoldsBook()) return;
  {
    const LockedBook book;
    if (EndedLooks() == look_ && !IsAmidLook()) {
      for (uint32_t i = 0; i < count_; ++i) TakeResidency(parts_[i].slot, parts_[i].bytes);
      return;
    }
  }
  // Another look was made meanwhile, or is: it may have seen what is gone.
  SampleResidencyAgain();
}

}  // namespace taskmem
