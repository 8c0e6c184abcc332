#include "spill/memory/chunked_bytes.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace taskmem {

ChunkedBytes& ChunkedBytes::operator=(ChunkedBytes&& other) {
  if (this == &other) return *this;
  Clear();
  source_ = other.source_;
  chunk_bytes_ = other.chunk_bytes_;
  first_ = std::exchange(other.first_, nullptr);
  last_ = std::exchange(other.last_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

bool ChunkedBytes::Adopt(char* bytes, int64_t size, const Release& release,
                         const MemorySource& source, ChunkedBytes* adopted) {
  void* const memory = source.allocate(sizeof(Chunk), source.context);
  if (memory == nullptr) return false;
  ChunkedBytes made(source, 1);
  made.first_ = made.last_ = new (memory)
      Chunk{.next = nullptr, .bytes = bytes, .used = size, .room = 0, .release = release};
  made.size_ = size;
  *adopted = std::move(made);
  return true;
}

bool ChunkedBytes::Write(const char* bytes, int64_t count) {
  while (count > 0) {
    if (last_ == nullptr || last_->room == 0) {
      void* const memory =
          source_.allocate(sizeof(Chunk) + static_cast<size_t>(chunk_bytes_), source_.context);
      if (memory == nullptr) return false;
      Chunk* const chunk = new (memory) Chunk{.next = nullptr,
                                              .bytes = static_cast<char*>(memory) + sizeof(Chunk),
                                              .used = 0,
                                              .room = chunk_bytes_,
                                              .release = {}};
      (last_ != nullptr ? last_->next : first_) = chunk;
      last_ = chunk;
    }
    const int64_t part = std::min(count, last_->room);
    memcpy(last_->bytes + last_->used, bytes, static_cast<size_t>(part));
    last_->used += part;
    last_->room -= part;
    size_ += part;
    bytes += part;
    count -= part;
  }
  return true;
}

bool ChunkedBytes::CopyTo(ByteSink& sink) const {
  for (const Chunk* chunk = first_; chunk != nullptr; chunk = chunk->next) {
    if (!sink.Write(chunk->bytes, chunk->used)) return false;
  }
  return true;
}

void ChunkedBytes::Clear() {
  while (first_ != nullptr) {
    Chunk* const chunk = first_;
    first_ = chunk->next;
    if (chunk->release.release != nullptr) {
      chunk->release.release(chunk->bytes, chunk->used, chunk->release.context);
    }
    source_.free(chunk, source_.context);
  }
  last_ = nullptr;
  size_ = 0;
}

}  // namespace taskmem
