#include "tools/stats/process_books.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "accounting/audit/stats_layout.h"
#include "tools/base/process_info.h"
#include "tools/stats/mapped_books.h"
#include "tools/stats/stats_snapshot.h"

namespace taskmem {
namespace {

namespace fs = std::filesystem;

ProcessBooks BooksOf(const StatsSnapshot& snapshot, const std::string& path) {
  const StatsHeader& header = snapshot.Header();
  ProcessBooks books;
  books.pid = static_cast<pid_t>(header.pid);
  books.start_time = header.start_time;
  books.path = path;
  books.program = FieldText(header.program);
  books.title = FieldText(header.title);
  books.layout = header.audit;
  books.reclaim_layout = snapshot.Header().reclaim_layout.load();
  books.allocators = ReadAllocators(snapshot);
  for (uint32_t slot = 0; slot < snapshot.slots(); ++slot) {
    const SlotIdentity& identity = snapshot.Identity(slot);
    ProcessBooks::Slot& known = books.slots.emplace_back();
    if (slot >= kFirstTaskSlot) known.id = identity.id;
    known.name = identity.name;
    known.has_ended = identity.state == TaskState::kEnded || slot == kEndedTasksSlot;
    known.charged_bytes = snapshot.Book(slot).charged_bytes.load();
  }
  return books;
}

// The file that the process has in another root or mount name space.
std::optional<ProcessBooks> ReadOtherProcessBooks(pid_t pid, const FoundBooks& found) {
  if (found.fd < 0) return std::nullopt;
  const auto snapshot = StatsSnapshot::Read(found.fd, StatsParts::kIdentities);
  close(found.fd);
  if (!snapshot || snapshot->Header().pid != static_cast<uint32_t>(pid) ||
      snapshot->Header().audit.version != kAuditVersion) {
    return std::nullopt;
  }
  return BooksOf(*snapshot, found.path);
}

std::optional<ProcessBooks> ReadProcessBooks(const std::string& dir, pid_t pid) {
  std::error_code error;
  const std::string prefix = fmt::format("{}-", pid);
  for (fs::directory_iterator at(dir, error), end; !error && at != end; at.increment(error)) {
    const fs::directory_entry& entry = *at;
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    const auto snapshot = StatsSnapshot::Read(entry.path(), StatsParts::kIdentities);
    if (!snapshot || !IsAlive(pid, snapshot->Header().start_time)) continue;
    struct stat status;
    if (stat(entry.path().c_str(), &status) == 0) {
      const FoundBooks found = FindMappedBooks(pid, &status, entry.path());
      if (found.which == MappedBooks::kOthers) return ReadOtherProcessBooks(pid, found);
      if (found.which == MappedBooks::kNone) continue;
    }
    if (snapshot->Header().audit.version != kAuditVersion) continue;
    // As the kernel names it where it is mapped: the folder may have been found by a descriptor.
    std::error_code no_such;
    const fs::path named = fs::canonical(entry.path(), no_such);
    return BooksOf(*snapshot, no_such ? entry.path() : named);
  }
  return std::nullopt;
}

}  // namespace

std::optional<ProcessBooks> ReadProcessBooks(const std::vector<std::string>& dirs, pid_t pid) {
  for (const std::string& dir : dirs) {
    if (auto books = ReadProcessBooks(dir, pid)) return books;
  }
  return ReadOtherProcessBooks(pid, FindMappedBooks(pid, nullptr, ""));
}

}  // namespace taskmem
