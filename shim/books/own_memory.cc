#include "shim/books/own_memory.h"

#include "shim/base/os.h"
#include "shim/published/stats_segment.h"

namespace taskmem {
namespace {

// Less than a huge page: a chunk never is one.
constexpr size_t kChunkBytes = (size_t{2} << 20) - 4096;
constexpr size_t kMostBytes = size_t{1} << 20;  // of a block of a chunk
constexpr size_t kSmallestBytes = 64;
constexpr int kClasses = 15;  // 64 bytes, 128, ... 1 MiB

struct FreeBlock {
  FreeBlock* next;
};

Mutex g_mutex;
char* g_chunk = nullptr;
size_t g_chunk_left = 0;
FreeBlock* g_free[kClasses];        // cleared but for the link
FreeBlock* g_free_dirty[kClasses];  // to be cleared before use

int ClassOf(size_t bytes) {
  int index = 0;
  while ((kSmallestBytes << index) < bytes) ++index;
  return index;
}

void* TakeFresh(size_t bytes) {
  if (bytes > g_chunk_left) {
    void* chunk = os::MapApart(kChunkBytes, MAP_NORESERVE);
    if (chunk == nullptr) return nullptr;
    NoteOwnBytes(chunk, kChunkBytes);
    g_chunk = static_cast<char*>(chunk);
    g_chunk_left = kChunkBytes;
  }
  // From the end, so that chunks that come to lie below one another are used densely.
  g_chunk_left -= bytes;
  return g_chunk + g_chunk_left;
}

}  // namespace

void* OwnAllocate(size_t bytes) {
  if (bytes > kMostBytes) {
    void* memory = os::MapApart(bytes, MAP_NORESERVE);
    if (memory != nullptr) NoteOwnBytes(memory, bytes);
    return memory;
  }
  const int index = ClassOf(bytes);
  FreeBlock* dirty = nullptr;
  {
    MutexLock lock(g_mutex);
    if (FreeBlock* block = g_free[index]) {
      g_free[index] = block->next;
      block->next = nullptr;
      return block;
    }
    dirty = g_free_dirty[index];
    if (dirty == nullptr) return TakeFresh(kSmallestBytes << index);
    g_free_dirty[index] = dirty->next;
  }
  __builtin_memset(static_cast<void*>(dirty), 0, kSmallestBytes << index);
  return dirty;
}

void OwnFree(void* memory, size_t bytes, bool is_zero) {
  if (bytes > kMostBytes) {
    // Not unmapped (see the header), but its pages go back.
    if (os::IsSealed()) return;
    os::Call(SYS_madvise, reinterpret_cast<long>(memory), static_cast<long>(bytes), MADV_DONTNEED);
    return;
  }
  const int index = ClassOf(bytes);
  MutexLock lock(g_mutex);
  FreeBlock*& list = is_zero ? g_free[index] : g_free_dirty[index];
  auto* block = static_cast<FreeBlock*>(memory);
  block->next = list;
  list = block;
}

Mutex& OwnMemoryMutex() { return g_mutex; }

}  // namespace taskmem
