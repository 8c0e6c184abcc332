// What the programs that map memory have in common: what the kernel says of an address range,
// and what the library says.
#ifndef TASKMEM_TESTS_PROGRAMS_SUPPORT_MAPPINGS_H_
#define TASKMEM_TESTS_PROGRAMS_SUPPORT_MAPPINGS_H_

#include <fcntl.h>
#include <sys/mman.h>

#include <new>

#include "tests/programs/support/tasks.h"

constexpr uint64_t kPage = 4096;

// One byte for each page of [start, end): protection + 1; 0: nothing is mapped.
class Pages {
 public:
  Pages(const void* start, uint64_t bytes)
      : start_(reinterpret_cast<uint64_t>(start)), count_(bytes / kPage) {
    REQUIRE(count_ <= kMost);
  }

  // Reads /proc/self/maps with system calls alone.
  void ReadKernel() {
    Clear();
    static char text[1 << 16];
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    size_t kept = 0;
    for (;;) {
      const ssize_t got = read(fd, text + kept, sizeof(text) - 1 - kept);
      REQUIRE(got >= 0);
      if (got == 0) break;
      text[kept + static_cast<size_t>(got)] = '\0';
      char* line = text;
      for (char* end; (end = strchr(line, '\n')) != nullptr; line = end + 1) {
        char* at = nullptr;
        const uint64_t from = strtoull(line, &at, 16);
        const uint64_t to = strtoull(at + 1, &at, 16);
        Fill(from, to, (at[1] == 'r' ? 1 : 0) | (at[2] == 'w' ? 2 : 0) | (at[3] == 'x' ? 4 : 0));
      }
      kept = strlen(line);
      memmove(text, line, kept);
    }
    close(fd);
  }

  void ReadLibrary() {
    Clear();
    taskmem_mapping mapping;
    const char* at = reinterpret_cast<const char*>(start_);
    while (taskmem_next_mapping(at, &mapping) == 0 && mapping.start < start_ + count_ * kPage) {
      Fill(mapping.start, mapping.end, mapping.protection);
      at = reinterpret_cast<const char*>(mapping.end);
    }
  }

  void RequireSame(const Pages& other) const {
    for (uint64_t i = 0; i < count_; ++i) {
      if (pages_[i] == other.pages_[i]) continue;
      dprintf(STDERR_FILENO, "page %llu of the range: %d, not %d\n",
              static_cast<unsigned long long>(i), pages_[i], other.pages_[i]);
      _exit(1);
    }
  }

 private:
  static constexpr uint64_t kMost = 16384;

  void Clear() { memset(pages_, 0, sizeof(pages_)); }
  void Fill(uint64_t from, uint64_t to, uint32_t protection) {
    const uint64_t end = start_ + count_ * kPage;
    if (from < start_) from = start_;
    if (to > end) to = end;
    for (uint64_t at = from; at < to; at += kPage) {
      pages_[(at - start_) / kPage] = static_cast<uint8_t>(protection + 1);
    }
  }

  const uint64_t start_;
  const uint64_t count_;
  uint8_t pages_[kMost];
};

// What the library knows of the range is what the kernel knows.
inline void RequireMapMatchesKernel(const void* start, uint64_t bytes) {
  static Pages kernel(start, bytes);
  static Pages library(start, bytes);
  Pages* pages[] = {&kernel, &library};
  for (Pages* one : pages) new (one) Pages(start, bytes);
  kernel.ReadKernel();
  library.ReadLibrary();
  library.RequireSame(kernel);
}

inline void* Anonymous(uint64_t bytes, int protection = PROT_READ | PROT_WRITE, int flags = 0,
                       void* at = nullptr) {
  return mmap(at, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

#endif  // TASKMEM_TESTS_PROGRAMS_SUPPORT_MAPPINGS_H_
