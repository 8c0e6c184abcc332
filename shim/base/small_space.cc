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
  MappingLimit limit;
  if (!ReadMappingLimit(RLIMIT_AS, &limit) || !limit.is_known) return false;
  return limit.bytes < limit.mapped_bytes || limit.bytes - limit.mapped_bytes < kLeastAddressSpace;
}

template <typename Function>
bool Find(const LoadedSymbols& libc, const char* name, Function** function) {
  *function = reinterpret_cast<Function*>(libc.Find(name).code);
  return *function != nullptr;
}

}  // namespace

bool ReadMappingLimit(int which, MappingLimit* limit) {
  *limit = {};
  struct rlimit set = {RLIM_INFINITY, RLIM_INFINITY};
  os::Call(SYS_prlimit64, 0, which, 0, reinterpret_cast<long>(&set));
  if (set.rlim_cur == RLIM_INFINITY) return false;
  limit->bytes = set.rlim_cur;
  // In pages: size resident shared text libraries data
  char text[128];
  limit->is_known = os::ReadFile("/proc/self/statm", text, sizeof(text)) > 0;
  if (!limit->is_known) return true;
  char* at = text;
  uint64_t pages = strtoull(at, &at, 10);
  for (int i = 0; i < 5 && which == RLIMIT_DATA; ++i) pages = strtoull(at, &at, 10);
  limit->mapped_bytes = pages * 4096;
  return true;
}

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
