// A block whose bytes did not fit into memory: Spark's PartiallySerializedBlock (PART-2 to
// PART-4).
#ifndef TASKMEM_SPILL_MEMORY_PARTIALLY_SERIALIZED_BLOCK_H_
#define TASKMEM_SPILL_MEMORY_PARTIALLY_SERIALIZED_BLOCK_H_

#include <cstdint>

#include "accounting/memory/memory_mode.h"
#include "spill/memory/block_values.h"
#include "spill/memory/chunked_bytes.h"
#include "spill/memory/partially_unrolled_iterator.h"
#include "spill/memory/unroll_owner.h"
#include "spill/names/store_error.h"

namespace taskmem {

class MemoryStore;

// The bytes of the values that were unrolled, the rest of the values, and the unroll memory
// that is to be released. Either written to a sink or read, once, or discarded. Each call
// names the task that makes it, as with PartiallyUnrolledIterator. Made empty and filled by
// MemoryStore, which it must not outlive, nor the serializer and the rest. Not thread-safe.
class PartiallySerializedBlock final {
 public:
  PartiallySerializedBlock() = default;
  // In kTaskmem discards it, where nobody has used it.
  ~PartiallySerializedBlock();
  PartiallySerializedBlock(const PartiallySerializedBlock&) = delete;
  PartiallySerializedBlock& operator=(const PartiallySerializedBlock&) = delete;

  // Ends the serializer's stream, frees the bytes and releases the unroll memory. Again:
  // nothing. In kSpark the memory is released even where it has been (PART-2).
  void Discard(int64_t task);

  // Writes all values, serialized, to `sink`, and returns the bytes. The unroll memory is
  // released after those that were unrolled. kAlreadyConsumed, kDiscarded, kSinkFailed,
  // kSerializerFailed, kIteratorFailed.
  StoreResult<int64_t> FinishWritingToStream(int64_t task, ByteSink& sink);

  // Fills `values` with all values; the unroll memory is its business from now on.
  // kAlreadyConsumed, kDiscarded, kSerializerFailed.
  StoreError ValuesIterator(int64_t task, PartiallyUnrolledIterator* values);

  // The task that unrolled has ended: frees the bytes. The unroll memory is released by the
  // task's end (PART-4).
  void OnTaskCompletion() { bytes_.Clear(); }

  // As recorded when the unrolling failed.
  int64_t unroll_bytes() const { return unroll_bytes_; }
  int64_t buffered_bytes() const { return bytes_.size(); }

 private:
  friend class MemoryStore;

  void Fill(UnrollOwner& store, MemoryMode mode, int64_t task, int64_t unroll_bytes,
            ChunkedBytes bytes, ValueSerializer& serializer, bool is_closed, ValueIterator& rest);
  void Abandon();
  StoreError VerifyUnused() const;
  void ReleaseUnrollMemory(int64_t task);
  bool CloseStream(ByteSink& sink);

  UnrollOwner* store_ = nullptr;
  MemoryMode mode_ = MemoryMode::kOnHeap;
  int64_t task_ = 0;  // that unrolled
  int64_t unroll_bytes_ = 0;
  ChunkedBytes bytes_;
  ValueSerializer* serializer_ = nullptr;
  ValueIterator* rest_ = nullptr;
  bool is_closed_ = false;  // the serializer's stream
  bool is_consumed_ = false;
  bool is_discarded_ = false;
  bool is_released_ = false;  // the unroll memory is, or is somebody else's business
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_PARTIALLY_SERIALIZED_BLOCK_H_
