#include "tools/remote/remote_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace taskmem {
namespace {

// Of an entry of pagemap.
constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kOfFile = uint64_t{1} << 61;     // or of shared memory
constexpr uint64_t kExclusive = uint64_t{1} << 56;  // no other process has it

}  // namespace

RemoteMemory::RemoteMemory(pid_t pid, std::chrono::nanoseconds patience)
    : pid_(pid),
      pagemap_(open(fmt::format("/proc/{}/pagemap", pid).c_str(), O_RDONLY | O_CLOEXEC)),
      time_is_up_(std::chrono::steady_clock::now() + patience) {}

RemoteMemory::RemoteMemory() : time_is_up_(std::chrono::steady_clock::now() + kPatience) {}

RemoteMemory::~RemoteMemory() {
  if (pagemap_ >= 0) close(pagemap_);
}

void RemoteMemory::RestartTime() { time_is_up_ = std::chrono::steady_clock::now() + kPatience; }

bool RemoteMemory::IsTimeUp() const { return std::chrono::steady_clock::now() >= time_is_up_; }

bool RemoteMemory::Read(uint64_t address, void* to, size_t bytes) const {
  if (bytes == 0) return true;
  if (address >= kAddressEnd || bytes > kAddressEnd - address) {
    errno = EFAULT;
    return false;
  }
  if (IsTimeUp()) {
    errno = ETIME;
    return false;
  }
  return CopyMemory(address, to, bytes) == bytes;
}

size_t RemoteMemory::CopyMemory(uint64_t address, void* to, size_t bytes) const {
  const iovec local = {to, bytes};
  const iovec remote = {reinterpret_cast<void*>(address), bytes};
  const ssize_t got = process_vm_readv(pid_, &local, 1, &remote, 1, 0);
  return got > 0 ? static_cast<size_t>(got) : 0;
}

size_t RemoteMemory::CopyPagemap(uint64_t page, uint64_t* entries, size_t count) const {
  const ssize_t got = pread(pagemap_, entries, count * sizeof(uint64_t),
                            static_cast<off_t>(page * sizeof(uint64_t)));
  return got > 0 ? static_cast<size_t>(got) / sizeof(uint64_t) : 0;
}

template <typename Visit>
void RemoteMemory::VisitPages(uint64_t start, uint64_t end, Visit visit) const {
  constexpr size_t kStep = 65536;
  if (start >= end || end > kAddressEnd) return;
  const size_t pages = (end - start) / kPageBytes;
  std::vector<uint64_t> entries(std::min(pages, kStep));
  for (size_t done = 0; done < pages && !IsTimeUp();) {
    const size_t want = std::min(pages - done, entries.size());
    const size_t got = CopyPagemap(start / kPageBytes + done, entries.data(), want);
    if (got == 0) break;
    for (size_t i = 0; i < got; ++i) visit(done + i, entries[i]);
    done += got;
  }
}

std::vector<bool> RemoteMemory::ResidentPages(uint64_t start, uint64_t end) const {
  std::vector<bool> resident;
  if (start >= end || end > kAddressEnd) return resident;
  resident.resize((end - start) / kPageBytes);
  VisitPages(start, end,
             [&](size_t page, uint64_t entry) { resident[page] = (entry & kPresent) != 0; });
  return resident;
}

RemoteMemory::Residency RemoteMemory::CountResident(uint64_t start, uint64_t end) const {
  Residency residency;
  VisitPages(start, end, [&](size_t, uint64_t entry) {
    if ((entry & kPresent) == 0) return;
    ((entry & (kOfFile | kExclusive)) != 0 ? residency.bytes : residency.maybe_bytes) += kPageBytes;
  });
  return residency;
}

uint64_t RemoteMemory::ResidentBytes(uint64_t start, uint64_t end) const {
  uint64_t bytes = 0;
  VisitPages(start, end,
             [&](size_t, uint64_t entry) { bytes += (entry & kPresent) != 0 ? kPageBytes : 0; });
  return bytes;
}

uint64_t RemoteMemory::WrittenBytes(uint64_t start, uint64_t end) const {
  uint64_t bytes = 0;
  VisitPages(start, end, [&](size_t, uint64_t entry) {
    bytes += (entry & (kPresent | kOfFile)) == kPresent ? kPageBytes : 0;
  });
  return bytes;
}

}  // namespace taskmem
