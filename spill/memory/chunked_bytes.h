// Bytes in chunks: what is written piece by piece need not be moved as it grows.
#ifndef TASKMEM_SPILL_MEMORY_CHUNKED_BYTES_H_
#define TASKMEM_SPILL_MEMORY_CHUNKED_BYTES_H_

#include <cstdint>
#include <utility>

#include "accounting/memory/memory_allocator.h"
#include "spill/memory/block_values.h"
#include "spill/names/block_bytes.h"

namespace taskmem {

// Owns its bytes. Movable; not thread-safe while it changes.
class ChunkedBytes final : public ByteSink {
 public:
  // Frees memory that was adopted.
  struct Release {
    void (*release)(char* bytes, int64_t size, void* context) = nullptr;  // null: nobody need
    void* context = nullptr;
  };

  ChunkedBytes() = default;
  // Chunks of `chunk_bytes` (> 0) from `source`.
  ChunkedBytes(const MemorySource& source, int64_t chunk_bytes)
      : source_(source), chunk_bytes_(chunk_bytes) {}
  ~ChunkedBytes() { Clear(); }
  ChunkedBytes(ChunkedBytes&& other) { *this = std::move(other); }
  ChunkedBytes& operator=(ChunkedBytes&& other);

  // One chunk of `size` bytes at `bytes`, which is somebody else's until it succeeds.
  // False: no memory for the chunk's own books.
  static bool Adopt(char* bytes, int64_t size, const Release& release, const MemorySource& source,
                    ChunkedBytes* adopted);

  // False: no memory. The bytes that were written before are there.
  bool Write(const char* bytes, int64_t count) override;
  // Writes all of them. False: the sink failed.
  bool CopyTo(ByteSink& sink) const;

  void Clear();

  int64_t size() const { return size_; }

  // All of them in one piece; nullptr: they lie in several, or there are none.
  const char* contiguous() const {
    return first_ != nullptr && first_->next == nullptr ? first_->bytes : nullptr;
  }

  // visit(const char* bytes, int64_t count) for each chunk, in order.
  template <typename Visit>
  void ForEachChunk(Visit visit) const {
    for (const Chunk* chunk = first_; chunk != nullptr; chunk = chunk->next) {
      visit(static_cast<const char*>(chunk->bytes), chunk->used);
    }
  }

 private:
  struct Chunk {
    Chunk* next;
    char* bytes;  // behind this, or adopted
    int64_t used;
    int64_t room;
    Release release;
  };

  friend class ChunkReader;

  MemorySource source_ = SystemMemory();
  int64_t chunk_bytes_ = 4096;
  Chunk* first_ = nullptr;
  Chunk* last_ = nullptr;
  int64_t size_ = 0;
};

// The chunks of bytes that do not change meanwhile, one after the other.
class ChunkReader final : public BlockBytes {
 public:
  explicit ChunkReader(const ChunkedBytes& bytes) : next_(bytes.first_) {}
  bool Next(ByteSpan* piece) override {
    if (next_ == nullptr) return false;
    *piece = {next_->bytes, next_->used};
    next_ = next_->next;
    return true;
  }

 private:
  const ChunkedBytes::Chunk* next_;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_MEMORY_CHUNKED_BYTES_H_
