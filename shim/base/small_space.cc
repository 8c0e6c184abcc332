#include "shim/base/small_space.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>

#include "shim/base/loaded_symbols.h"
#include "shim/base/os.h"

// In glibc, and in nothing that comes before it.
extern "C" void _IO_list_lock();

namespace taskmem {

const LibcHeap* g_libc_heap = nullptr;

namespace {

constinit LibcHeap g_heap = {};

bool IsSpaceShort() {
  struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  os::Call(SYS_prlimit64, 0, RLIMIT_AS, 0, reinterpret_cast<long>(&limit));
  if (limit.rlim_cur == RLIM_INFINITY) return false;
  // Its first number is what is mapped, in pages.
  char text[64];
  if (os::ReadFile("/proc/self/statm", text, sizeof(text)) <= 0) return false;
  const uint64_t mapped = strtoull(text, nullptr, 10) * 4096;
  return limit.rlim_cur < mapped || limit.rlim_cur - mapped < kLeastAddressSpace;
}

template <typename Function>
bool Find(const LoadedSymbols& libc, const char* name, Function** function) {
  *function = reinterpret_cast<Function*>(libc.Find(name).code);
  return *function != nullptr;
}

}  // namespace

void ChooseHeap() {
  if (!IsSpaceShort()) return;
  const LoadedSymbols libc = LoadedSymbols::Around(reinterpret_cast<void*>(&_IO_list_lock));
  if (Find(libc, "malloc", &g_heap.malloc) && Find(libc, "calloc", &g_heap.calloc) &&
      Find(libc, "realloc", &g_heap.realloc) && Find(libc, "memalign", &g_heap.memalign) &&
      Find(libc, "free", &g_heap.free) && Find(libc, "malloc_usable_size", &g_heap.usable_size)) {
    g_libc_heap = &g_heap;
  }
}

}  // namespace taskmem
