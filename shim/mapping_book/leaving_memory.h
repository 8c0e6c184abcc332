// Memory that a call is about to take away, and that is charged by residency: the peak shall have
// it, and its owner be credited at once, not at the next look.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_LEAVING_MEMORY_H_
#define TASKMEM_SHIM_MAPPING_BOOK_LEAVING_MEMORY_H_

#include <cstdint>

namespace taskmem {

// [start, end) is about to leave memory. What has come there since the last look would be missed:
// looks, where it is much of what is charged. What of it is charged is then credited by
// ItIsGone, once it has left. No lock may be held.
class LeavingMemory {
 public:
  struct Range {
    uint64_t start;
    uint64_t end;
  };

  // Where one call takes two ranges away they are counted, and looked at, together.
  explicit LeavingMemory(Range range, Range other = {0, 0});
  void ItIsGone();

 private:
  static constexpr uint32_t kMostTasks = 4;

  struct Part {
    uint32_t slot;
    uint64_t bytes;
  };

  void Count(uint32_t slot, uint64_t bytes);

  Part parts_[kMostTasks];
  uint32_t count_ = 0;
  uint64_t look_ = 0;  // after which they are charged
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_LEAVING_MEMORY_H_
