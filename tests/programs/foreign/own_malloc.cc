// A program with a malloc of its own: what it calls, and what libc calls for it,
// stays with that one, and threads, stdio and C++ work on top of it.
#include <pthread.h>

#include <atomic>
#include <string>

#include "tests/programs/support/check.h"

namespace {

alignas(4096) char g_arena[64 << 20];
std::atomic<size_t> g_used{0};

bool IsOwn(const void* block) { return block >= g_arena && block < g_arena + sizeof(g_arena); }

size_t& SizeOf(void* block) { return static_cast<size_t*>(block)[-2]; }

void* Take(size_t alignment, size_t size) {
  if (alignment < 16) alignment = 16;
  const size_t start = g_used.fetch_add(size + 2 * alignment + 32);
  if (start + size + 2 * alignment + 32 > sizeof(g_arena)) {
    errno = ENOMEM;
    return nullptr;
  }
  const auto address = reinterpret_cast<uintptr_t>(g_arena + start + 16 + alignment);
  void* block = reinterpret_cast<void*>(address / alignment * alignment);
  SizeOf(block) = size;
  return block;
}

}  // namespace

extern "C" {
void* malloc(size_t size) { return Take(16, size); }
void free(void* block) {
  if (block != nullptr) REQUIRE(IsOwn(block));
}
void* calloc(size_t count, size_t size) { return Take(16, count * size); }
void* realloc(void* block, size_t size) {
  void* result = Take(16, size);
  if (block != nullptr && result != nullptr) {
    memcpy(result, block, SizeOf(block) < size ? SizeOf(block) : size);
  }
  return result;
}
void* memalign(size_t alignment, size_t size) { return Take(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return Take(alignment, size); }
int posix_memalign(void** block, size_t alignment, size_t size) {
  *block = Take(alignment, size);
  return *block != nullptr ? 0 : ENOMEM;
}
size_t malloc_usable_size(void* block) { return block != nullptr ? SizeOf(block) : 0; }
}

void* Thread(void* argument) {
  char* text = static_cast<char*>(malloc(100));
  REQUIRE(IsOwn(text));
  snprintf(text, 100, "thread %s", static_cast<char*>(argument));
  return text;
}

int main() {
  char* copy = strdup("copied by libc");
  REQUIRE(IsOwn(copy));
  REQUIRE(strcmp(copy, "copied by libc") == 0);
  free(copy);
  for (int i = 0; i < 50; ++i) {
    pthread_t thread;
    char name[] = "one";
    void* text = nullptr;
    REQUIRE(pthread_create(&thread, nullptr, Thread, name) == 0);
    REQUIRE(pthread_join(thread, &text) == 0);
    REQUIRE(strcmp(static_cast<char*>(text), "thread one") == 0);
    free(text);
  }
  std::string longer(1000, 'x');
  longer += longer;
  REQUIRE(longer.size() == 2000);
}
