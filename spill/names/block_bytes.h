// The bytes of a block, wherever they lie.
#ifndef TASKMEM_SPILL_NAMES_BLOCK_BYTES_H_
#define TASKMEM_SPILL_NAMES_BLOCK_BYTES_H_

#include <cstddef>
#include <cstdint>

namespace taskmem {

struct ByteSpan {
  const char* bytes = nullptr;
  int64_t size = 0;
};

// Piece by piece, once.
class BlockBytes {
 public:
  // The next piece, which stays valid and the same until all of them were used. False: that
  // was all.
  virtual bool Next(ByteSpan* /*piece*/) { return false; }

 protected:
  ~BlockBytes() = default;
};

// Pieces that lie in an array.
class ByteSpans final : public BlockBytes {
 public:
  ByteSpans(const ByteSpan* spans, size_t count) : next_(spans), end_(spans + count) {}
  bool Next(ByteSpan* piece) override {
    if (next_ == end_) return false;
    *piece = *next_++;
    return true;
  }

 private:
  const ByteSpan* next_;
  const ByteSpan* end_;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_NAMES_BLOCK_BYTES_H_
