// Memory for the mapping book, in pieces of 4 KiB that are kept, and larger ones, which are few.
#ifndef TASKMEM_SHIM_BOOKS_BOOK_PIECES_H_
#define TASKMEM_SHIM_BOOKS_BOOK_PIECES_H_

#include <cstddef>
#include <cstdint>

#include "accounting/memory/memory_allocator.h"
#include "shim/base/os.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

// Constant-initialised. Not thread-safe: under the lock of what is built of it. Nothing is
// unmapped.
class BookPieces {
 public:
  constexpr MemorySource Source() { return {Take, Give, this}; }

 private:
  static constexpr size_t kPieceBytes = 4096;
  static constexpr size_t kFirstChunkBytes = 64 * 1024;
  static constexpr size_t kMostChunkBytes = 1024 * 1024;

  struct Free {
    Free* next;
  };

  // Not reserved, so that the kernel does not make one mapping of ours and the program's beside
  // it: those of the program would be slower to unmap, because ours are in use.
  static char* Map(size_t bytes) {
    void* const chunk = os::MapApart(bytes, MAP_NORESERVE);
    if (chunk != nullptr) NoteOwnBytes(chunk, bytes);
    return static_cast<char*>(chunk);
  }

  static void* Take(size_t bytes, void* self) {
    auto& pieces = *static_cast<BookPieces*>(self);
    if (bytes > kPieceBytes) return Map(bytes);
    if (Free* const piece = pieces.free_) {
      pieces.free_ = piece->next;
      return piece;
    }
    if (pieces.chunk_left_ == 0) {
      pieces.chunk_ = Map(pieces.chunk_bytes_);
      if (pieces.chunk_ == nullptr) return nullptr;
      pieces.chunk_left_ = pieces.chunk_bytes_;
      if (pieces.chunk_bytes_ < kMostChunkBytes) pieces.chunk_bytes_ *= 2;
    }
    pieces.chunk_left_ -= kPieceBytes;
    return pieces.chunk_ + pieces.chunk_left_;
  }

  // Of a larger piece that was outgrown the first 4 KiB are used again; the next is twice as
  // large.
  static void Give(void* address, void* self) {
    auto& pieces = *static_cast<BookPieces*>(self);
    auto* const piece = static_cast<Free*>(address);
    piece->next = pieces.free_;
    pieces.free_ = piece;
  }

  Free* free_ = nullptr;
  char* chunk_ = nullptr;
  size_t chunk_left_ = 0;
  size_t chunk_bytes_ = kFirstChunkBytes;  // of the next
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_BOOK_PIECES_H_
