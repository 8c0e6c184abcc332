// All values of a block that did not fit into memory: Spark's PartiallyUnrolledIterator
// (PART-1).
#ifndef TASKMEM_SPILL_MEMORY_PARTIALLY_UNROLLED_ITERATOR_H_
#define TASKMEM_SPILL_MEMORY_PARTIALLY_UNROLLED_ITERATOR_H_

#include <cstdint>

#include "accounting/memory/memory_mode.h"
#include "spill/memory/block_values.h"
#include "spill/memory/chunked_bytes.h"
#include "spill/memory/unroll_owner.h"
#include "spill/memory/value_array.h"

namespace taskmem {

class MemoryStore;

// First the values that were unrolled, whose unroll memory it releases, then the rest. Each
// call names the task that makes it: in kSpark the unroll memory is released out of what
// that one has, in kTaskmem out of what the unrolling task has. Made empty and filled by
// MemoryStore or PartiallySerializedBlock. Must not outlive the store. Not thread-safe.
class PartiallyUnrolledIterator final {
 public:
  PartiallyUnrolledIterator() = default;
  ~PartiallyUnrolledIterator();
  PartiallyUnrolledIterator(const PartiallyUnrolledIterator&) = delete;
  PartiallyUnrolledIterator& operator=(const PartiallyUnrolledIterator&) = delete;

  // Where this finds the unrolled values exhausted, their memory is released.
  bool HasNext(int64_t task);
  // Only after HasNext has answered true. The value is the caller's. Releases nothing.
  void* Next();
  // Closes the unrolled values that are left, and releases their memory; of the rest
  // nothing is lost.
  void Close(int64_t task);

  // Whether HasNext answered false, or left values out, because values could not be had.
  bool has_failed() const { return has_failed_ || (rest_ != nullptr && rest_->has_failed()); }

  // Unroll memory it has to release, in bytes; 0 once it has.
  int64_t unroll_bytes() const { return is_unrolled_ ? unroll_bytes_ : 0; }

 private:
  friend class MemoryStore;
  friend class PartiallySerializedBlock;

  void Fill(UnrollOwner& store, MemoryMode mode, int64_t task, int64_t unroll_bytes,
            ValueIterator* rest);
  bool HasUnrolled();
  void ReleaseUnrollMemory(int64_t task);

  UnrollOwner* store_ = nullptr;
  MemoryMode mode_ = MemoryMode::kOnHeap;
  int64_t task_ = 0;  // that unrolled
  int64_t unroll_bytes_ = 0;
  bool is_unrolled_ = false;  // and not released yet
  bool has_failed_ = false;
  ValueArray values_;
  ChunkedBytes bytes_;                // what `decoded_` reads
  ValueIterator* decoded_ = nullptr;  // the unrolled values are those, if it is not null
  ValueIterator* rest_ = nullptr;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_PARTIALLY_UNROLLED_ITERATOR_H_
