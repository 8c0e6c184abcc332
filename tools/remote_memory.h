// Another process's memory, read while it runs on: no code runs in it, and it is not stopped.
#ifndef TASKMEM_TOOLS_REMOTE_MEMORY_H_
#define TASKMEM_TOOLS_REMOTE_MEMORY_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace taskmem {

class RemoteMemory {
 public:
  explicit RemoteMemory(pid_t pid);
  ~RemoteMemory();
  RemoteMemory(const RemoteMemory&) = delete;
  RemoteMemory& operator=(const RemoteMemory&) = delete;

  // All or nothing. False where any of it is not mapped, or may not be read (errno).
  bool Read(uint64_t address, void* to, size_t bytes) const;

  template <typename T>
  std::optional<T> Read(uint64_t address) const {
    T value;
    if (!Read(address, &value, sizeof(value))) return std::nullopt;
    return value;
  }

  // `count` elements at `address`; empty where they cannot be read.
  template <typename T>
  std::vector<T> ReadArray(uint64_t address, size_t count) const {
    std::vector<T> values(count);
    if (!Read(address, values.data(), count * sizeof(T))) values.clear();
    return values;
  }

  // Which 4 KiB pages of [start, end), both multiples of it, are in memory. Where that cannot
  // be known: none.
  std::vector<bool> ResidentPages(uint64_t start, uint64_t end) const;
  uint64_t ResidentBytes(uint64_t start, uint64_t end) const;

  // The kernel shows the one page of zeroes, where memory was read and never written, like any
  // other, but does not count it as resident. A page that several processes share after a fork
  // looks the same.
  struct Residency {
    uint64_t bytes = 0;        // resident
    uint64_t maybe_bytes = 0;  // more, unless it is the page of zeroes
  };
  Residency CountResident(uint64_t start, uint64_t end) const;

 private:
  // Calls visit(index of the page, its entry of /proc/PID/pagemap) for each.
  template <typename Visit>
  void VisitPages(uint64_t start, uint64_t end, Visit visit) const;

  const pid_t pid_;
  int pagemap_;
};

inline constexpr uint64_t kPageBytes = 4096;

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_MEMORY_H_
