// Another process's memory, read while it runs on: no code runs in it, and it is not stopped.
#ifndef TASKMEM_TOOLS_REMOTE_REMOTE_MEMORY_H_
#define TASKMEM_TOOLS_REMOTE_REMOTE_MEMORY_H_

#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace taskmem {

// The process may be anybody's: what it says of addresses and lengths is not trusted. Reads are
// bounded in size, allocate no more than is mapped there, and all fail once the time is up.
class RemoteMemory {
 public:
  static constexpr uint64_t kAddressEnd = uint64_t{1} << 47;  // of programs
  static constexpr size_t kMostArrayBytes = size_t{64} << 20;

  static constexpr auto kPatience = std::chrono::seconds(20);

  explicit RemoteMemory(pid_t pid, std::chrono::nanoseconds patience = kPatience);
  virtual ~RemoteMemory();
  RemoteMemory(const RemoteMemory&) = delete;
  RemoteMemory& operator=(const RemoteMemory&) = delete;

  // Whether the time is up: what was not read by then is missing.
  bool IsTimeUp() const;

  // All or nothing. False where any of it is not mapped, or may not be read (errno).
  bool Read(uint64_t address, void* to, size_t bytes) const;

  template <typename T>
  std::optional<T> Read(uint64_t address) const {
    T value;
    if (!Read(address, &value, sizeof(value))) return std::nullopt;
    return value;
  }

  // `count` elements at `address`; empty where they cannot be read, or are more than
  // kMostArrayBytes.
  template <typename T>
  std::vector<T> ReadArray(uint64_t address, size_t count) const {
    constexpr size_t kStep = (1 << 20) / sizeof(T);
    std::vector<T> values;
    if (count > kMostArrayBytes / sizeof(T)) return values;
    for (size_t done = 0; done < count; done = values.size()) {
      values.resize(std::min(count, done + kStep));
      if (!Read(address + done * sizeof(T), &values[done], (values.size() - done) * sizeof(T))) {
        return {};
      }
    }
    return values;
  }

  // Which 4 KiB pages of [start, end), both multiples of it, are in memory. Where that cannot
  // be known: none.
  std::vector<bool> ResidentPages(uint64_t start, uint64_t end) const;
  uint64_t ResidentBytes(uint64_t start, uint64_t end) const;
  // The same of a private mapping of a file: those that have been written to, and are not the
  // file's.
  uint64_t WrittenBytes(uint64_t start, uint64_t end) const;

  // The kernel shows the one page of zeroes, where memory was read and never written, like any
  // other, but does not count it as resident. A page that several processes share after a fork
  // looks the same.
  struct Residency {
    uint64_t bytes = 0;        // resident
    uint64_t maybe_bytes = 0;  // more, unless it is the page of zeroes
  };
  Residency CountResident(uint64_t start, uint64_t end) const;

 protected:
  // For tests: of no process.
  RemoteMemory();
  // The time begins anew.
  void RestartTime();

  // As process_vm_readv and, in units of pages, pread of /proc/PID/pagemap: how much was read.
  virtual size_t CopyMemory(uint64_t address, void* to, size_t bytes) const;
  virtual size_t CopyPagemap(uint64_t page, uint64_t* entries, size_t count) const;

 private:
  // Calls visit(index of the page, its entry of /proc/PID/pagemap) for each.
  template <typename Visit>
  void VisitPages(uint64_t start, uint64_t end, Visit visit) const;

  const pid_t pid_ = 0;
  int pagemap_ = -1;
  std::chrono::steady_clock::time_point time_is_up_;
};

inline constexpr uint64_t kPageBytes = 4096;

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_REMOTE_REMOTE_MEMORY_H_
