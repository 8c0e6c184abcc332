#include "shim/base/resident_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "shim/base/os.h"

namespace taskmem {
namespace {

constexpr size_t kPageBytes = 4096;

// linux/fs.h of Linux 6.7.
struct ScanArgument {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t regions;
  uint64_t region_count;
  uint64_t max_pages;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
struct Region {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};
constexpr unsigned long kPagemapScan = 0xc0606610;  // _IOWR('f', 16, ScanArgument)
static_assert(sizeof(ScanArgument) == 0x60);
constexpr uint64_t kIsFile = 1 << 2;
constexpr uint64_t kIsPresent = 1 << 3;

// Of an entry of pagemap.
constexpr uint64_t kEntryPresent = uint64_t{1} << 63;
constexpr uint64_t kEntryFile = uint64_t{1} << 61;

}  // namespace

int ResidentPages::Open(const char* path) {
  const long fd =
      os::Call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), O_RDONLY | O_CLOEXEC);
  return os::Failed(fd) ? -1 : static_cast<int>(fd);
}

bool ResidentPages::TakeOwnDescriptors() {
  constexpr long kCloseRange = 436;
  constexpr long kUnshare = 1 << 1;
  keeps_open_ = !os::Failed(os::Call(kCloseRange, 0, 0xffffffff, kUnshare));
  return keeps_open_;
}

bool ResidentPages::Begin() {
  if (pagemap_ < 0) pagemap_ = Open("/proc/self/pagemap");
  return pagemap_ >= 0;
}

void ResidentPages::End() {
  if (keeps_open_ || pagemap_ < 0) return;
  os::Call(SYS_close, pagemap_);
  pagemap_ = -1;
}

bool ResidentPages::Unmap(const iovec* ranges, uint32_t count) {
  constexpr long kPidfdOpen = 434;
  constexpr long kProcessMadvise = 440;
  if (!keeps_open_ || !has_vector_) return false;
  if (process_ < 0) {
    const long fd = os::Call(kPidfdOpen, getpid(), 0);
    process_ = os::Failed(fd) ? -1 : static_cast<int>(fd);
  }
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) bytes += ranges[i].iov_len;
  const long done =
      os::Call(kProcessMadvise, process_, reinterpret_cast<long>(ranges), count, MADV_DONTNEED, 0);
  has_vector_ = !os::Failed(done);
  return has_vector_ && static_cast<uint64_t>(done) == bytes;
}

ResidentBytes ResidentPages::Read() {
  if (statm_ < 0) statm_ = Open("/proc/self/statm");
  if (statm_ < 0) return {};
  char text[128];
  const long length =
      os::Call(SYS_pread64, statm_, reinterpret_cast<long>(text), sizeof(text) - 1, 0);
  if (!keeps_open_) {
    os::Call(SYS_close, statm_);
    statm_ = -1;
  }
  if (length <= 0) return {};
  text[length] = '\0';
  // size resident shared ...
  char* at = text;
  strtoull(at, &at, 10);
  const uint64_t resident = strtoull(at, &at, 10) * kPageBytes;
  const uint64_t file = strtoull(at, &at, 10) * kPageBytes;
  return {file, resident > file ? resident - file : 0};
}

void ResidentPages::Count(uintptr_t start, size_t chunk_bytes, uint32_t count, uint8_t* counts) {
  if (has_scan_) {
    if (CountByScan(start, chunk_bytes, count, counts)) return;
    has_scan_ = false;
    memset(counts, 0, count);
  }
  if (CountByEntry(start, chunk_bytes, count, counts)) return;
  memset(counts, static_cast<int>(chunk_bytes / kPageBytes), count);
}

bool ResidentPages::CountByScan(uintptr_t start, size_t chunk_bytes, uint32_t count,
                                uint8_t* counts) {
  constexpr size_t kRegions = 128;
  Region regions[kRegions];
  const uintptr_t end = start + count * chunk_bytes;
  for (uintptr_t at = start; at < end;) {
    ScanArgument argument = {};
    argument.size = sizeof(argument);
    argument.start = at;
    argument.end = end;
    argument.regions = reinterpret_cast<uint64_t>(regions);
    argument.region_count = kRegions;
    argument.category_mask = kIsPresent | kIsFile;
    argument.return_mask = kIsPresent;
    const long found = os::Call(SYS_ioctl, pagemap_, static_cast<long>(kPagemapScan),
                                reinterpret_cast<long>(&argument));
    if (os::Failed(found) || argument.walk_end <= at) return false;
    for (long i = 0; i < found; ++i) {
      for (uintptr_t page = regions[i].start; page < regions[i].end;) {
        const size_t index = (page - start) / chunk_bytes;
        const uintptr_t chunk_end = start + (index + 1) * chunk_bytes;
        const uintptr_t stop = regions[i].end < chunk_end ? regions[i].end : chunk_end;
        counts[index] = static_cast<uint8_t>(counts[index] + (stop - page) / kPageBytes);
        page = stop;
      }
    }
    at = argument.walk_end;
  }
  return true;
}

bool ResidentPages::CountByEntry(uintptr_t start, size_t chunk_bytes, uint32_t count,
                                 uint8_t* counts) {
  constexpr size_t kEntries = 512;
  uint64_t entries[kEntries];
  const size_t pages = count * (chunk_bytes / kPageBytes);
  for (size_t first = 0; first < pages;) {
    const size_t want = pages - first < kEntries ? pages - first : kEntries;
    const long got = os::Call(SYS_pread64, pagemap_, reinterpret_cast<long>(entries),
                              static_cast<long>(want * sizeof(entries[0])),
                              static_cast<long>((start / kPageBytes + first) * sizeof(entries[0])));
    if (got <= 0) return false;
    const size_t read = static_cast<size_t>(got) / sizeof(entries[0]);
    for (size_t i = 0; i < read; ++i) {
      constexpr uint64_t kBoth = kEntryPresent | kEntryFile;
      if ((entries[i] & kBoth) == kBoth) ++counts[(first + i) * kPageBytes / chunk_bytes];
    }
    first += read;
  }
  return true;
}

}  // namespace taskmem
