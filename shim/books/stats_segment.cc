#include "shim/books/stats_segment.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "accounting/base/kernel_memory.h"
#include "accounting/base/process_stat.h"
#include "accounting/base/round_up.h"
#include "shim/base/environment.h"
#include "shim/base/message.h"
#include "shim/base/os.h"
#include "shim/base/own_ranges.h"
#include "shim/base/run_notice.h"
#include "shim/base/user_directory.h"
#include "shim/books/program_title.h"

namespace taskmem {

StatsHeader* g_stats = nullptr;
ThreadEntry* g_thread_entries = nullptr;
TaskBook* g_books = nullptr;
ReclaimBook* g_reclaim_books = nullptr;
MappingsTable* g_mappings_table = nullptr;
AllocatorsTable* g_allocators_table = nullptr;
EventRing* g_events = nullptr;

namespace {
constinit ForkPage g_settled_page = {Books::kSettled, 1, 0, nullptr};
}  // namespace
ForkPage* g_fork_page = &g_settled_page;

namespace {

constexpr char kSharedMemory[] = "/dev/shm";  // StatsParent(), but for odd machines
constexpr size_t kPageBytes = 4096;
// A part of the file has one page at first, and grows by what it has, but at most by this.
constexpr size_t kMostStepBytes = 64 * 1024;

// What the books say, which in a forked child are the parent's at first.
std::atomic<uint64_t> g_own_bytes{0};
bool g_is_to_be_listed = false;  // the parent's books were in a file
char g_dir[256];
bool g_tells_run = false;     // at the start of the program, not of a forked child
bool g_is_users_dir = false;  // g_dir is the user's directory in StatsParent(); else it was named
char g_path[320];             // empty while the books are private
std::atomic<size_t> g_task_bytes_reserved{0};
std::atomic<size_t> g_reclaim_bytes_reserved{0};
std::atomic<size_t> g_thread_bytes_reserved{0};
std::atomic<size_t> g_library_bytes_reserved{0};
std::atomic<size_t> g_row_bytes_reserved{0};
std::atomic<size_t> g_allocator_bytes_reserved{0};

size_t UsedTaskBytes() {
  return g_stats->task_slots.load(std::memory_order_relaxed) * sizeof(TaskBook);
}

size_t UsedReclaimBytes() {
  return g_stats->task_slots.load(std::memory_order_relaxed) * sizeof(ReclaimBook);
}

size_t UsedThreadBytes() {
  return g_stats->thread_entries.load(std::memory_order_relaxed) * sizeof(ThreadEntry);
}

// All of the table, once there is an allocator.
size_t UsedAllocatorBytes() {
  const bool has_rows = g_allocators_table->rows.load(std::memory_order_relaxed) != 0;
  return has_rows ? sizeof(AllocatorsTable) : 0;
}

uint64_t StartTime() {
  char text[1024];
  if (os::ReadFile("/proc/self/stat", text, sizeof(text)) <= 0) return 0;
  return ProcessStatNumber(text, kStatStartTime);
}

}  // namespace

const char* StatsProgram() {
  if (g_stats->program[0] == '\0') {
    os::ReadLink("/proc/self/exe", g_stats->program, sizeof(g_stats->program));
  }
  return g_stats->program;
}

void StatsNoteTitle(int argc, const char* const* argv) {
  DescribeProgram(StatsProgram(), argc, argv, g_stats->title, sizeof(g_stats->title));
}

namespace {

void FillHeader() {
  g_stats->version = kStatsVersion;
  g_stats->parent_pid = static_cast<uint32_t>(os::Call(SYS_getppid));
  g_stats->start_time = StartTime();
  g_stats->state.store(ProcessState::kRunning, std::memory_order_relaxed);
  const char* session = EnvironmentVariable("TASKMEM_SESSION");
  snprintf(g_stats->session, sizeof(g_stats->session), "%s", session != nullptr ? session : "");
  StatsProgram();
  g_stats->magic = kStatsMagic;
}

// Gives [offset, offset + bytes) of the file, mapped at `file`, space, and the process those pages.
// False: there is none.
bool ReserveSpace(char* file, size_t offset, size_t bytes) {
  constexpr long kPopulateWrite = 23;  // MADV_POPULATE_WRITE, of Linux 5.14
  long result;
  do {
    result = os::Call(SYS_madvise, reinterpret_cast<long>(file + offset), static_cast<long>(bytes),
                      kPopulateWrite);
  } while (result == -EINTR || result == -EAGAIN);
  return !os::Failed(result);
}

// The same for a kernel that cannot do that.
bool ReserveSpaceIn(long fd, size_t offset, size_t bytes) {
  long result;
  do {
    result = os::Call(SYS_fallocate, fd, 0, static_cast<long>(offset), static_cast<long>(bytes));
  } while (result == -EINTR);
  // A file system without fallocate has no holes to fall into.
  return !os::Failed(result) || result == -EOPNOTSUPP;
}

// Whether a file may be that large: to try it would be a SIGXFSZ.
bool IsWithinFileLimit(size_t bytes) {
  struct rlimit limit = {};
  return os::Failed(os::Call(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, reinterpret_cast<long>(&limit))) ||
         bytes <= limit.rlim_cur;
}

// A descriptor of the directory that a user named, made where there is none.
long OpenNamedDir() {
  constexpr long kFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  const auto path = reinterpret_cast<long>(g_dir);
  const long fd = os::Call(SYS_openat, AT_FDCWD, path, kFlags);
  if (fd != -ENOENT) return fd;
  os::Call(SYS_mkdirat, AT_FDCWD, path, 0700);
  return os::Call(SYS_openat, AT_FDCWD, path, kFlags);
}

// A descriptor of g_dir. The user's directory may have gone, or the user is another one now: then
// `may_choose` another one.
long OpenDir(bool may_choose) {
  if (!g_is_users_dir) return OpenNamedDir();
  if (g_dir[0] != '\0') {
    const int fd = OpenOwnDirectory(g_dir);
    if (fd >= 0 || !may_choose) return fd;
  }
  char path[kUserDirectoryBytes];
  int fd = OpenUserDirectory(kSharedMemory, path);
  if (fd < 0 && strcmp(StatsParent(), kSharedMemory) != 0) {
    fd = OpenUserDirectory(StatsParent(), path);
  }
  memcpy(g_dir, path, sizeof(path));
  return fd;
}

const char* FileName() { return strrchr(g_path, '/') + 1; }

long OpenFile() {
  const long dir = OpenDir(false);
  if (os::Failed(dir)) return dir;
  const long fd = os::Call(SYS_openat, dir, reinterpret_cast<long>(FileName()),
                           O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  os::Call(SYS_close, dir);
  return fd;
}

// Backs [offset, offset + bytes) of the file with space, or, where there is
// none, the same part of the segment with private memory.
void Back(size_t offset, size_t bytes) {
  if (ReserveSpace(reinterpret_cast<char*>(g_stats), offset, bytes)) return;
  // The process may have entered another root, or be another user's.
  const long fd = os::IsSealed() ? -EPERM : OpenFile();
  if (!os::Failed(fd)) {
    const bool has_space = ReserveSpaceIn(fd, offset, bytes);
    os::Call(SYS_close, fd);
    if (has_space) return;
  }
  os::Call(SYS_mmap, reinterpret_cast<long>(g_stats) + static_cast<long>(offset),
           static_cast<long>(bytes), PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

void Grow(std::atomic<size_t>& reserved, size_t needed, size_t base, size_t limit) {
  size_t have = reserved.load(std::memory_order_relaxed);
  while (needed > have) {
    const size_t step = have == 0 ? kPageBytes : have < kMostStepBytes ? have : kMostStepBytes;
    size_t want = have + RoundUp(needed - have, step);
    if (want > limit) want = limit;
    if (want <= have) return;
    if (reserved.compare_exchange_weak(have, want, std::memory_order_relaxed)) {
      if (g_path[0] != '\0') Back(base + have, want - have);
      return;
    }
  }
}

// A new file in the directory `dir`, or -errno.
long CreateFile(long dir, const char* name) {
  const auto create = [&] {
    return os::Call(SYS_openat, dir, reinterpret_cast<long>(name),
                    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  };
  const long fd = create();
  if (fd != -EEXIST) return fd;
  // An exec keeps pid and start time: the file of the image before.
  os::Call(SYS_unlinkat, dir, reinterpret_cast<long>(name), 0);
  return create();
}

// Creates the file and maps it over the segment. Returns what failed, or nullptr.
const char* Publish() {
  FillHeader();
  char name[32];
  snprintf(name, sizeof(name), "%u-%llu", g_stats->pid,
           static_cast<unsigned long long>(g_stats->start_time));
  long dir = OpenDir(true);
  if (os::Failed(dir)) return "create";
  long fd = CreateFile(dir, name);
  if (fd == -ENOENT) {
    // Somebody has just removed the empty directory.
    os::Call(SYS_close, dir);
    dir = OpenDir(true);
    fd = os::Failed(dir) ? dir : CreateFile(dir, name);
  }
  if (os::Failed(fd)) {
    os::Call(SYS_close, dir);
    return "create";
  }
  const size_t threads = RoundUp(UsedThreadBytes() + 1, kPageBytes);
  const size_t tasks = RoundUp(UsedTaskBytes() + 1, kPageBytes);
  const size_t reclaim = RoundUp(UsedReclaimBytes() + 1, kPageBytes);
  const size_t allocators = RoundUp(UsedAllocatorBytes(), kPageBytes);
  const auto reserve = [&](char* file, size_t offset, size_t bytes) {
    return bytes == 0 || ReserveSpace(file, offset, bytes) || ReserveSpaceIn(fd, offset, bytes);
  };
  const char* failed = nullptr;
  long mapped = -ENOMEM;
  if (!IsWithinFileLimit(kStatsBytes) ||
      os::Failed(os::Call(SYS_ftruncate, fd, static_cast<long>(kStatsBytes)))) {
    failed = "size";
  } else if (mapped = os::Call(SYS_mmap, 0, static_cast<long>(kStatsBytes), PROT_READ | PROT_WRITE,
                               MAP_SHARED, fd, 0);
             os::Failed(mapped)) {
    failed = "map";
  } else if (auto* const file = reinterpret_cast<char*>(mapped);
             !reserve(file, 0, kThreadsOffset + threads) || !reserve(file, kTasksOffset, tasks) ||
             !reserve(file, kReclaimOffset, reclaim) ||
             !reserve(file, kAllocatorsOffset, allocators)) {
    failed = "find space for";
  } else {
    memcpy(file + kThreadsOffset, static_cast<void*>(g_thread_entries), UsedThreadBytes());
    memcpy(file + kTasksOffset, static_cast<void*>(g_books), UsedTaskBytes());
    memcpy(file + kReclaimOffset, static_cast<void*>(g_reclaim_books), UsedReclaimBytes());
    memcpy(file + kAllocatorsOffset, static_cast<void*>(g_allocators_table), UsedAllocatorBytes());
    memcpy(file, static_cast<void*>(g_stats), sizeof(*g_stats));
    if (os::Failed(os::Call(SYS_mremap, mapped, static_cast<long>(kStatsBytes),
                            static_cast<long>(kStatsBytes), MREMAP_MAYMOVE | MREMAP_FIXED,
                            reinterpret_cast<long>(g_stats)))) {
      failed = "map";
    }
  }
  if (failed != nullptr && !os::Failed(mapped)) {
    os::Unmap(reinterpret_cast<void*>(mapped), kStatsBytes);
  }
  if (failed == nullptr && g_tells_run) TellRun(g_stats->session, static_cast<int>(fd));
  os::Call(SYS_close, fd);
  if (failed != nullptr) os::Call(SYS_unlinkat, dir, reinterpret_cast<long>(name), 0);
  os::Call(SYS_close, dir);
  if (failed != nullptr) return failed;
  g_thread_bytes_reserved.store(threads, std::memory_order_relaxed);
  g_task_bytes_reserved.store(tasks, std::memory_order_relaxed);
  g_reclaim_bytes_reserved.store(reclaim, std::memory_order_relaxed);
  // What it said before is said again at the next look.
  g_library_bytes_reserved.store(0, std::memory_order_relaxed);
  g_row_bytes_reserved.store(0, std::memory_order_relaxed);
  g_allocator_bytes_reserved.store(allocators, std::memory_order_relaxed);
  snprintf(g_path, sizeof(g_path), "%s/%s", g_dir, name);
  return nullptr;
}

}  // namespace

namespace {

void CountOwnBytes(uint64_t change) {
  const uint64_t bytes = g_own_bytes.fetch_add(change, std::memory_order_relaxed) + change;
  if (g_stats != nullptr && HasOwnBooks()) {
    g_stats->own_bytes.store(bytes, std::memory_order_relaxed);
  }
}

// What accounting/ and spill/ map for themselves.
void ObserveMapping(const void* start, size_t bytes, bool is_mapped) {
  if (is_mapped) {
    NotePassingRange(start, bytes);
    CountOwnBytes(bytes);
  } else {
    ForgetOwnRange(start, bytes);
    CountOwnBytes(-bytes);
  }
}

}  // namespace

bool StatsOpen() {
  // With a page before it that is no part of the file: g_fork_page. The kernel maps downwards, so
  // that the library's own memory comes to lie beside it: a fork copies one page table for both.
  char* const guard = static_cast<char*>(os::Map(kStatsBytes + kPageBytes, MAP_NORESERVE));
  if (guard == nullptr) return false;
  os::UseSmallPages(guard, kStatsBytes + kPageBytes);
  char* const segment = guard + kPageBytes;
  g_stats = reinterpret_cast<StatsHeader*>(segment);
  g_thread_entries = reinterpret_cast<ThreadEntry*>(segment + kThreadsOffset);
  g_books = reinterpret_cast<TaskBook*>(segment + kTasksOffset);
  g_reclaim_books = reinterpret_cast<ReclaimBook*>(segment + kReclaimOffset);
  g_mappings_table = reinterpret_cast<MappingsTable*>(segment + kMappingsOffset);
  g_allocators_table = reinterpret_cast<AllocatorsTable*>(segment + kAllocatorsOffset);
  g_events = reinterpret_cast<EventRing*>(segment + kEventsOffset);
  g_stats->task_slots.store(kFirstTaskSlot, std::memory_order_relaxed);
  g_stats->own_bytes.store(g_own_bytes.load(), std::memory_order_relaxed);
  for (uint32_t slot = 0; slot < kFirstTaskSlot; ++slot) {
    g_books[slot].quota_bytes.store(kNoQuota, std::memory_order_relaxed);
    g_books[slot].granted_bytes.store(kNoPool, std::memory_order_relaxed);
    g_books[slot].task_id.store(UINT64_MAX, std::memory_order_relaxed);
    g_books[slot].state.store(TaskState::kLive, std::memory_order_relaxed);
  }
  const auto name = [](uint32_t slot, const char* text) {
    memcpy(g_books[slot].name, text, strlen(text));
  };
  name(kUntrackedSlot, "untracked");
  name(kEndedTasksSlot, "ended tasks");
  name(kSpillReserveSlot, "spill reserve");
  name(kStorageSlot, "storage");
  name(kSharedSlot, "shared by tasks");
  NoteOwnRange(guard, kStatsBytes + kPageBytes);
  g_stats->pid = static_cast<uint32_t>(os::ProcessId());
  auto* const page = reinterpret_cast<ForkPage*>(guard);
  page->books.store(Books::kSettled, std::memory_order_relaxed);
  os::Call(SYS_madvise, reinterpret_cast<long>(guard), kPageBytes, MADV_WIPEONFORK);
  g_fork_page = page;
  g_mapping_observer = ObserveMapping;
  return true;
}

// A privileged program may run as the very user who called it (a set-group-ID program, one with
// file capabilities): that user may write to whatever file it makes, and so into books that the
// program relies on. They stay where nobody else gets at them.
bool MayPublish() { return !IsPrivileged() || getuid() != geteuid(); }

void StatsPublish(const Options& options) {
  if (!MayPublish()) return;
  snprintf(g_dir, sizeof(g_dir), "%s", options.stats_dir);
  g_is_users_dir = g_dir[0] == '\0';
  g_tells_run = true;
  const char* const failed = Publish();
  g_tells_run = false;
  if (failed != nullptr) {
    TellRun(g_stats->session, -1);
    Message("cannot %s the stats file in %s: limits hold, without tables (ps, stats, run)", failed,
            g_dir);
  }
}

bool StatsAfterFork() {
  const size_t thread_bytes = UsedThreadBytes();
  const size_t task_bytes = UsedTaskBytes();
  const size_t reclaim_bytes = UsedReclaimBytes();
  const size_t allocator_bytes = UsedAllocatorBytes();
  // A child of a child that was never listed is listed like that.
  if (g_path[0] != '\0') g_is_to_be_listed = true;
  auto* copy = static_cast<char*>(os::Map(kStatsBytes, MAP_NORESERVE));
  if (copy == nullptr) return false;
  memcpy(copy, static_cast<void*>(g_stats), sizeof(*g_stats));
  memcpy(copy + kThreadsOffset, static_cast<void*>(g_thread_entries), thread_bytes);
  memcpy(copy + kTasksOffset, static_cast<void*>(g_books), task_bytes);
  memcpy(copy + kReclaimOffset, static_cast<void*>(g_reclaim_books), reclaim_bytes);
  memcpy(copy + kAllocatorsOffset, static_cast<void*>(g_allocators_table), allocator_bytes);
  os::Call(SYS_mremap, reinterpret_cast<long>(copy), static_cast<long>(kStatsBytes),
           static_cast<long>(kStatsBytes), MREMAP_MAYMOVE | MREMAP_FIXED,
           reinterpret_cast<long>(g_stats));
  g_path[0] = '\0';
  g_stats->own_bytes.store(g_own_bytes.load(), std::memory_order_relaxed);

  // What was inherited counts from here: peaks start anew, refusals were the parent's.
  g_stats->peak_charged_bytes.store(g_stats->charged_bytes.load());
  g_stats->resident_bytes_at_exit.store(0);
  g_stats->exit_audit.store(ExitAudit::kNone);
  g_stats->request.state.store(RequestState::kIdle);
  // Nobody is setting it here.
  g_stats->label_state.fetch_and(1);
  g_stats->first_refusal.state.store(FirstRefusal::kNone);
  g_stats->record_until_ns.store(0);
  g_stats->peak_resident_bytes.store(0);
  const uint32_t slots = g_stats->task_slots.load();
  for (uint32_t slot = 0; slot < slots; ++slot) {
    TaskBook& book = g_books[slot];
    book.peak_charged_bytes.store(book.charged_bytes.load());
    book.peak_overdraft_bytes.store(book.Overdraft());
    book.refusals.store(0);
    book.overdrafts.store(0);
    g_reclaim_books[slot].Reset();
  }
  // Only the thread that forked exists here, which renews its entry (context.h).
  const uint32_t threads = g_stats->thread_entries.load();
  for (uint32_t i = 0; i < threads; ++i) g_thread_entries[i].slot_plus_one.store(0);
  const uint32_t pid = g_fork_page->pid.load(std::memory_order_relaxed);
  g_stats->pid = pid != 0 ? pid : static_cast<uint32_t>(os::ProcessId());
  return true;
}

void StatsList() {
  if (!g_is_to_be_listed) return;
  g_is_to_be_listed = false;
  Publish();
}

void StatsKeepUnlisted() { g_is_to_be_listed = false; }

bool IsListed() { return g_path[0] != '\0'; }

bool IsVforkChild() {
  if (g_stats == nullptr) return false;
  const uint32_t pid =
      HasOwnBooks() ? g_stats->pid : g_fork_page->pid.load(std::memory_order_relaxed);
  // In the child of a fork that ran no handlers nobody knows.
  return pid != 0 && pid != static_cast<uint32_t>(os::ProcessId());
}

bool StatsOutliveProcess() { return g_stats->session[0] != '\0'; }

void StatsLeaveBehind() {
  if (g_stats == nullptr || !HasOwnBooks() || !IsListed() || IsVforkChild()) return;
  g_stats->state.store(ProcessState::kExited, std::memory_order_release);
  g_path[0] = '\0';
}

void StatsAtExit() {
  if (g_stats == nullptr || !HasOwnBooks() || !IsListed() || IsVforkChild()) return;
  if (!StatsOutliveProcess()) {
    g_stats->state.store(ProcessState::kExited, std::memory_order_release);
    const long dir = OpenDir(false);
    os::Call(SYS_unlinkat, dir, reinterpret_cast<long>(FileName()), 0);
    os::Call(SYS_close, dir);
    g_path[0] = '\0';
    return;
  }
  struct rusage usage = {};
  if (os::Call(SYS_getrusage, RUSAGE_SELF, reinterpret_cast<long>(&usage)) == 0) {
    g_stats->peak_resident_bytes.store(static_cast<uint64_t>(usage.ru_maxrss) * 1024);
  }
  char text[128];
  if (os::ReadFile("/proc/self/statm", text, sizeof(text)) > 0) {
    const char* resident = strchr(text, ' ');
    if (resident != nullptr) {
      g_stats->resident_bytes_at_exit.store(strtoull(resident, nullptr, 10) * 4096);
    }
  }
  g_stats->state.store(ProcessState::kExited, std::memory_order_release);
}

void StatsReserveTasks(uint32_t count) {
  if (count > kMaxTaskSlots) count = kMaxTaskSlots;
  Grow(g_task_bytes_reserved, count * sizeof(TaskBook), kTasksOffset,
       kMaxTaskSlots * sizeof(TaskBook));
  Grow(g_reclaim_bytes_reserved, count * sizeof(ReclaimBook), kReclaimOffset,
       kMaxTaskSlots * sizeof(ReclaimBook));
}

bool StatsHasRoomForTasks(uint32_t count) {
  return count * sizeof(TaskBook) <= g_task_bytes_reserved.load(std::memory_order_relaxed) &&
         count * sizeof(ReclaimBook) <= g_reclaim_bytes_reserved.load(std::memory_order_relaxed);
}

void StatsReserveThreads(uint32_t count) {
  if (count > kMaxThreads) count = kMaxThreads;
  Grow(g_thread_bytes_reserved, count * sizeof(ThreadEntry), kThreadsOffset,
       kMaxThreads * sizeof(ThreadEntry));
}

bool StatsHasRoomForThreads(uint32_t count) {
  return count * sizeof(ThreadEntry) <= g_thread_bytes_reserved.load(std::memory_order_relaxed);
}

void StatsReserveMappings(uint32_t rows, uint32_t libraries) {
  constexpr size_t kRowsOffset = offsetof(MappingsTable, row) / kPageBytes * kPageBytes;
  Grow(g_library_bytes_reserved,
       offsetof(MappingsTable, library) + libraries * sizeof(MappingsTable::library[0]),
       kMappingsOffset, kRowsOffset);
  Grow(g_row_bytes_reserved, offsetof(MappingsTable, row) - kRowsOffset + rows * sizeof(MappedRow),
       kMappingsOffset + kRowsOffset, kAllocatorsOffset - kMappingsOffset - kRowsOffset);
}

void StatsReserveAllocators() {
  Grow(g_allocator_bytes_reserved, sizeof(AllocatorsTable), kAllocatorsOffset,
       kEventsOffset - kAllocatorsOffset);
}

void WriteEvent(EventKind kind, uint32_t slot, uint64_t task_id, uint64_t bytes, uint64_t held,
                uint64_t limit_or_ns, uint32_t flags) {
  const uint64_t now = os::MonotonicNs();
  if (now >= g_stats->record_until_ns.load(std::memory_order_relaxed)) return;
  Event event = {};
  event.time_ns = now;
  event.kind = kind;
  event.slot = slot;
  event.flags = flags;
  event.task_id = task_id;
  event.bytes = bytes;
  event.held = held;
  event.limit = limit_or_ns;
  g_events->Write(event);
}

void NoteOwnBytes(const void* start, uint64_t bytes) {
  NoteOwnRange(start, bytes);
  CountOwnBytes(bytes);
}

}  // namespace taskmem
