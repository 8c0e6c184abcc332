// Whom unroll memory belongs to, as those see it who hold values that did not fit: the memory
// store.
#ifndef TASKMEM_SPILL_MEMORY_UNROLL_OWNER_H_
#define TASKMEM_SPILL_MEMORY_UNROLL_OWNER_H_

#include <cstdint>

#include "accounting/memory/memory_mode.h"
#include "spill/memory/value_array.h"

namespace taskmem {

// Thread-safe.
class UnrollOwner {
 public:
  // Whether it does as Spark does, also where that is a fault (Compatibility::kSpark).
  virtual bool IsSpark() const = 0;
  // At most what the task has.
  virtual void ReleaseUnrollMemoryForTask(MemoryMode mode, int64_t task, int64_t bytes) = 0;
  // Frees the values: `values` is empty afterwards.
  virtual void CloseValues(ValueArray& values) = 0;

 protected:
  ~UnrollOwner() = default;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_UNROLL_OWNER_H_
