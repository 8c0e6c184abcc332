#include "shim/mapping_book/residency_ranges.h"

#include <fcntl.h>

#include <cstring>

#include "shim/base/os.h"

namespace taskmem {
namespace {
constexpr uint64_t kPage = 4096;
}  // namespace

// Neither is inlined: who allocates, or maps, may lack the stack for all of a look.

__attribute__((noinline)) uint64_t ResidentBytes(uint64_t start, uint64_t end) {
  // Whoever maps may have a small stack.
  constexpr uint64_t kPagesAtOnce = 512;
  unsigned char in_memory[kPagesAtOnce];
  uint64_t pages = 0;
  for (uint64_t at = start; at < end;) {
    const uint64_t bytes = end - at < kPagesAtOnce * kPage ? end - at : kPagesAtOnce * kPage;
    const long result = os::Call(SYS_mincore, static_cast<long>(at), static_cast<long>(bytes),
                                 reinterpret_cast<long>(in_memory));
    at += bytes;
    if (os::Failed(result)) continue;  // unmapped meanwhile
    // Bytes of 0 and 1, the rest of each undefined; eight at a time.
    const uint64_t count = (bytes + kPage - 1) / kPage;
    uint64_t i = 0;
    for (; i + 8 <= count; i += 8) {
      uint64_t eight;
      memcpy(&eight, in_memory + i, sizeof(eight));
      pages += static_cast<uint64_t>(__builtin_popcountll(eight & 0x0101010101010101));
    }
    for (; i < count; ++i) pages += in_memory[i] & 1;
  }
  return pages * kPage;
}

__attribute__((noinline)) uint64_t WrittenBytes(uint64_t start, uint64_t end) {
  constexpr uint64_t kPresent = uint64_t{1} << 63;
  constexpr uint64_t kOfFile = uint64_t{1} << 61;
  constexpr uint64_t kPagesAtOnce = 64;  // as in ResidentBytes
  const long pagemap = os::Call(SYS_openat, AT_FDCWD, reinterpret_cast<long>("/proc/self/pagemap"),
                                O_RDONLY | O_CLOEXEC);
  if (os::Failed(pagemap)) return end - start;
  uint64_t entries[kPagesAtOnce];
  uint64_t pages = 0;
  uint64_t page = start / kPage;
  while (page < end / kPage) {
    const uint64_t left = end / kPage - page;
    const uint64_t wanted = (left < kPagesAtOnce ? left : kPagesAtOnce) * sizeof(entries[0]);
    const long got =
        os::Call(SYS_pread64, pagemap, reinterpret_cast<long>(entries), static_cast<long>(wanted),
                 static_cast<long>(page * sizeof(entries[0])));
    if (os::Failed(got) || got < static_cast<long>(sizeof(entries[0]))) break;
    const auto count = static_cast<uint64_t>(got) / sizeof(entries[0]);
    for (uint64_t i = 0; i < count; ++i) pages += (entries[i] & (kPresent | kOfFile)) == kPresent;
    page += count;
  }
  os::Call(SYS_close, pagemap);
  return pages * kPage;
}

}  // namespace taskmem
