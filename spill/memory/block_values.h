// What the values of a block are to the store: pointers it is given and gives back, and
// what its owner knows about them.
//
// A value belongs to whoever has it: an iterator that is asked for it passes it on. None of
// these is called with a lock held.
#ifndef TASKMEM_SPILL_MEMORY_BLOCK_VALUES_H_
#define TASKMEM_SPILL_MEMORY_BLOCK_VALUES_H_

#include <cstdint>

namespace taskmem {

class ChunkedBytes;

class ValueIterator {
 public:
  virtual bool HasNext() { return false; }
  // Only after HasNext has answered true; that may be asked any number of times.
  virtual void* Next() { return nullptr; }
  // Whether HasNext answered false because the values could not be had.
  virtual bool has_failed() const { return false; }

 protected:
  ~ValueIterator() = default;
};

class ByteSink {
 public:
  // False: they could not be written, and nothing more will be.
  virtual bool Write(const char* /*bytes*/, int64_t /*count*/) { return true; }

 protected:
  ~ByteSink() = default;
};

// The end of a value nobody takes any more. Must outlive every value of its kind.
class ValueCloser {
 public:
  // False: it failed, which is logged and changes nothing else (MS-13).
  virtual bool Close(void* /*value*/) { return true; }
  // Whether values that must leave memory can be written first; Serialize writes all of a
  // block, and they stay as they are. False: it failed.
  virtual bool CanSerialize() const { return false; }
  virtual bool Serialize(void* const* /*values*/, int64_t /*count*/, ByteSink& /*sink*/) {
    return false;
  }

 protected:
  ~ValueCloser() = default;
};

// How large values are.
class SizeEstimator {
 public:
  // Bytes of the first `count` values of a block, as far as they are now.
  virtual int64_t Estimate(void* const* /*values*/, int64_t /*count*/) { return 0; }
  // The same of all of them, once there are no more: what the block is charged with.
  virtual int64_t PreciseSize(void* const* values, int64_t count) {
    return Estimate(values, count);
  }

 protected:
  ~SizeEstimator() = default;
};

// Values of one block to bytes and back. Must outlive the put, or the partially serialized
// block or iterator that comes of it.
class ValueSerializer {
 public:
  // Takes the value, and writes it or keeps it for later. False: it failed.
  virtual bool Write(void* /*value*/, ByteSink& /*sink*/) { return false; }
  // Writes what was kept and the end of the stream. Called once, last.
  virtual bool Close(ByteSink& /*sink*/) { return true; }
  // The values that were written, from bytes that end where the values were taken no
  // further. At most one is open. nullptr: they cannot be read.
  virtual ValueIterator* Open(const ChunkedBytes& /*bytes*/) { return nullptr; }

 protected:
  ~ValueSerializer() = default;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_BLOCK_VALUES_H_
