#include "tools/remote_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

namespace taskmem {
namespace {

// Of an entry of pagemap.
constexpr uint64_t kPresent = uint64_t{1} << 63;
constexpr uint64_t kOfFile = uint64_t{1} << 61;     // or of shared memory
constexpr uint64_t kExclusive = uint64_t{1} << 56;  // no other process has it

}  // namespace

RemoteMemory::RemoteMemory(pid_t pid)
    : pid_(pid),
      pagemap_(open(fmt::format("/proc/{}/pagemap", pid).c_str(), O_RDONLY | O_CLOEXEC)) {}

RemoteMemory::~RemoteMemory() {
  if (pagemap_ >= 0) close(pagemap_);
}

bool RemoteMemory::Read(uint64_t address, void* to, size_t bytes) const {
  if (bytes == 0) return true;
  const iovec local = {to, bytes};
  const iovec remote = {reinterpret_cast<void*>(address), bytes};
  return process_vm_readv(pid_, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(bytes);
}

template <typename Visit>
void RemoteMemory::VisitPages(uint64_t start, uint64_t end, Visit visit) const {
  constexpr size_t kStep = 65536;
  const size_t pages = (end - start) / kPageBytes;
  std::vector<uint64_t> entries(std::min(pages, kStep));
  for (size_t done = 0; done < pages;) {
    const size_t want = std::min(pages - done, entries.size());
    const auto at = static_cast<off_t>((start / kPageBytes + done) * sizeof(uint64_t));
    const ssize_t got = pread(pagemap_, entries.data(), want * sizeof(uint64_t), at);
    if (got < static_cast<ssize_t>(sizeof(uint64_t))) break;
    const size_t read = static_cast<size_t>(got) / sizeof(uint64_t);
    for (size_t i = 0; i < read; ++i) visit(done + i, entries[i]);
    done += read;
  }
}

std::vector<bool> RemoteMemory::ResidentPages(uint64_t start, uint64_t end) const {
  std::vector<bool> resident((end - start) / kPageBytes);
  VisitPages(start, end,
             [&](size_t page, uint64_t entry) { resident[page] = (entry & kPresent) != 0; });
  return resident;
}

RemoteMemory::Residency RemoteMemory::CountResident(uint64_t start, uint64_t end) const {
  Residency residency;
  VisitPages(start, end, [&](size_t, uint64_t entry) {
    if ((entry & kPresent) == 0) return;
    ((entry & (kOfFile | kExclusive)) != 0 ? residency.bytes : residency.maybe_bytes) +=
        kPageBytes;
  });
  return residency;
}

uint64_t RemoteMemory::ResidentBytes(uint64_t start, uint64_t end) const {
  const std::vector<bool> pages = ResidentPages(start, end);
  return static_cast<uint64_t>(std::count(pages.begin(), pages.end(), true)) * kPageBytes;
}

}  // namespace taskmem
