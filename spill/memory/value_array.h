// The values of a block, in the order in which they came.
#ifndef TASKMEM_SPILL_MEMORY_VALUE_ARRAY_H_
#define TASKMEM_SPILL_MEMORY_VALUE_ARRAY_H_

#include <cstdint>
#include <utility>

#include "accounting/memory/memory_allocator.h"
#include "spill/memory/block_values.h"

namespace taskmem {

// Owns its values: those nobody has taken are closed. Movable; not thread-safe.
class ValueArray {
 public:
  ValueArray() = default;
  // `closer` may be null: values need no end.
  ValueArray(const MemorySource& source, ValueCloser* closer) : source_(source), closer_(closer) {}
  ~ValueArray() { Clear(); }
  ValueArray(ValueArray&& other) { *this = std::move(other); }
  ValueArray& operator=(ValueArray&& other);

  // Makes room for one value more. False: no memory.
  bool Reserve();
  // Needs room.
  void Append(void* value) { values_[count_++] = value; }

  // The first value that has not been taken; there must be one. It is the caller's.
  void* Take() { return values_[taken_++]; }
  bool has_untaken() const { return taken_ < count_; }

  // Closes what has not been taken. Returns how many closers failed.
  int64_t Clear();

  // Gives the values up: they are somebody else's.
  void Forget() { taken_ = count_; }

  void* const* values() const { return values_; }
  ValueCloser* closer() const { return closer_; }
  int64_t count() const { return count_; }

 private:
  MemorySource source_ = SystemMemory();
  ValueCloser* closer_ = nullptr;
  void** values_ = nullptr;
  int64_t count_ = 0;
  int64_t taken_ = 0;
  int64_t room_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_VALUE_ARRAY_H_
