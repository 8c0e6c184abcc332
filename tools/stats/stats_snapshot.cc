#include "tools/stats/stats_snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tools/base/process_info.h"

namespace taskmem {
namespace {

constexpr uint32_t kMostPid = 1 << 22;  // the kernel's limit

// Reads as far as the file goes.
void ReadAt(int fd, uint64_t offset, void* to, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t got =
        pread(fd, static_cast<char*>(to) + done, bytes - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;
    done += static_cast<size_t>(got);
  }
}

template <typename T>
void ReadArrayAt(int fd, uint64_t offset, std::vector<T>* to) {
  ReadAt(fd, offset, to->data(), to->size() * sizeof(T));
}

bool IsValid(const StatsHeader& header) {
  return header.magic == kStatsMagic && header.version == kStatsVersion &&
         header.task_slots <= kMaxTaskSlots && header.thread_entries <= kMaxThreads &&
         header.pid > 0 && header.pid <= kMostPid;
}

// Where others may make files, one is believed when it is our own. Root believes that of whoever
// the process is, and of one that has ended, which only those who know its run look at.
bool IsTrusted(int fd, const StatsHeader& header) {
  struct stat file;
  if (fstat(fd, &file) != 0) return false;
  if (file.st_uid == geteuid()) return true;
  // Another name may be in a folder where others can change it; and it is as large as they are.
  if (file.st_nlink != 1 || static_cast<uint64_t>(file.st_size) != kStatsBytes) return false;
  const auto pid = static_cast<pid_t>(header.pid);
  return geteuid() == 0 && (!IsAlive(pid, header.start_time) || EffectiveUser(pid) == file.st_uid);
}

// The identity as it was between two copies of a book, `before` and `after`. Nothing where it
// changed meanwhile: of the first copy what lies behind the sequence was read after it, of the
// second what lies before.
std::optional<SlotIdentity> SettledIdentity(const TaskBook& before, const TaskBook& after) {
  const uint32_t sequence = before.sequence.load();
  if (sequence % 2 != 0 || sequence != after.sequence.load()) return std::nullopt;
  return SlotIdentity{after.state.load(), after.task_id.load(), FieldText(before.name)};
}

}  // namespace

std::optional<StatsSnapshot> StatsSnapshot::Read(const std::string& path, StatsParts parts) {
  // Whatever has the name: it must not make us wait.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return std::nullopt;
  struct Closer {
    ~Closer() { close(fd); }
    int fd;
  } closer{fd};
  auto snapshot = Read(fd, parts);
  if (snapshot && !IsTrusted(fd, snapshot->Header())) return std::nullopt;
  return snapshot;
}

std::optional<StatsSnapshot> StatsSnapshot::Read(int fd, StatsParts parts) {
  struct stat file;
  if (fstat(fd, &file) != 0 || !S_ISREG(file.st_mode) ||
      static_cast<uint64_t>(file.st_size) < kStatsBytes) {
    return std::nullopt;
  }
  StatsSnapshot snapshot;
  ReadAt(fd, 0, snapshot.header_.get(), sizeof(StatsHeader));
  if (!IsValid(snapshot.Header())) return std::nullopt;
  if (parts == StatsParts::kHeader) return snapshot;
  const size_t slots = std::max(snapshot.Header().task_slots.load(), kFirstTaskSlot);
  snapshot.books_ = std::vector<TaskBook>(slots);
  snapshot.ReadIdentities(fd);
  ReadAt(fd, kAllocatorsOffset, snapshot.allocators_.get(), sizeof(AllocatorsTable));
  if (parts != StatsParts::kAll) return snapshot;
  snapshot.reclaim_books_ = std::vector<ReclaimBook>(slots);
  ReadArrayAt(fd, kReclaimOffset, &snapshot.reclaim_books_);
  snapshot.threads_ = std::vector<ThreadEntry>(snapshot.Header().thread_entries.load());
  ReadArrayAt(fd, kThreadsOffset, &snapshot.threads_);
  return snapshot;
}

void StatsSnapshot::ReadIdentities(int fd) {
  // A process that was killed in the middle of a change leaves the sequence odd for ever: then
  // what is there must do.
  constexpr int kMostTries = 100;
  int tries_left = 10'000;  // for all books
  std::vector<TaskBook> before(books_.size());
  ReadArrayAt(fd, kTasksOffset, &before);
  ReadArrayAt(fd, kTasksOffset, &books_);
  identities_.resize(books_.size());
  for (size_t slot = 0; slot < books_.size(); ++slot) {
    TaskBook& book = books_[slot];
    auto identity = SettledIdentity(before[slot], book);
    for (int i = 0; !identity && i < kMostTries && tries_left > 0; ++i, --tries_left) {
      const uint64_t at = kTasksOffset + slot * sizeof(TaskBook);
      ReadAt(fd, at, &before[slot], sizeof(TaskBook));
      ReadAt(fd, at, &book, sizeof(TaskBook));
      identity = SettledIdentity(before[slot], book);
    }
    if (!identity) identity = {book.state.load(), book.task_id.load(), FieldText(book.name)};
    identities_[slot] = *std::move(identity);
  }
  const uint32_t tasks = header_->shared_by_tasks.load();
  if (tasks != 0) identities_[kSharedSlot].name = "shared by " + std::to_string(tasks) + " tasks";
}

}  // namespace taskmem
