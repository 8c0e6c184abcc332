#include "tools/recording/recorder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <optional>

#include "accounting/audit/stats_layout.h"
#include "accounting/base/monotonic_ns.h"
#include "shim/base/version.h"
#include "shim/options/option_table.h"
#include "tools/base/process_info.h"
#include "tools/stats/process_books.h"

namespace taskmem {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kIntervalNs = 10 * kMs;
// So many times as long as a look took is rested after it.
constexpr uint64_t kRestTimes = 100;

uint64_t ClockNs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecond + static_cast<uint64_t>(now.tv_nsec);
}
uint64_t NowNs() { return static_cast<uint64_t>(MonotonicNs()); }
uint64_t CpuNs() { return ClockNs(CLOCK_THREAD_CPUTIME_ID); }

// The variables of the environment that the program began with.
std::map<std::string, std::string> EnvironmentOf(pid_t pid) {
  constexpr size_t kMostBytes = size_t{4} << 20;
  std::map<std::string, std::string> variables;
  std::ifstream file("/proc/" + std::to_string(pid) + "/environ", std::ios::binary);
  std::string variable;
  for (size_t bytes = 0; bytes < kMostBytes && std::getline(file, variable, '\0');
       bytes += variable.size()) {
    const size_t mark = variable.find('=');
    if (variable.starts_with("TASKMEM_") && mark != variable.npos) {
      variables.try_emplace(variable.substr(0, mark), variable.substr(mark + 1));
    }
  }
  return variables;
}

}  // namespace

Recorder::~Recorder() {
  if (stats_fd_ >= 0) close(stats_fd_);
}

bool Recorder::Attach(pid_t pid, const std::string& path) {
  int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return false;
  const auto snapshot = StatsSnapshot::Read(fd, StatsParts::kHeader);
  struct stat status;
  const auto user = EffectiveUser(pid);
  if (!snapshot || snapshot->Header().pid != static_cast<uint32_t>(pid) ||
      fstat(fd, &status) != 0 || status.st_nlink != 1 || (user && status.st_uid != *user)) {
    close(fd);
    return false;
  }
  pid_ = pid;
  start_time_ = snapshot->Header().start_time;
  stats_path_ = path;
  stats_fd_ = fd;
  events_ = std::make_unique<EventSource>(fd);
  const uint64_t now = NowNs();
  if (!has_recorded_) began_ns_ = now;
  has_recorded_ = true;
  next_books_ns_ = next_exact_ns_ = next_process_ns_ = 0;
  // A program that has just begun holds nothing of interest.
  next_sites_ns_ = now + kSecond / 4;
  next_growth_ns_ = now;
  looked_at_bytes_ = 0;
  pools_.clear();
  process_.clear();
  time_us_ = now / 1000;
  WriteStart(snapshot->Header());
  WriteSettings();
  return true;
}

void Recorder::WriteStart(const StatsHeader& header) {
  PackedWriter record;
  record.Number(ClockNs(CLOCK_REALTIME)).Number(time_us_ * 1000).Number(header.pid);
  record.Number(header.start_time).Text(FieldText(header.program)).Text(FieldText(header.title));
  record.Number(kIntervalNs / 1000).Text(kVersion).Number(events_->is_on() ? 1 : 0);
  file_.Add(RecordType::kStart, record);
}

void Recorder::WriteSettings() {
  const auto variables = EnvironmentOf(pid_);
  for (size_t i = 0; i < kOptionCount; ++i) {
    const auto found = variables.find(kOptions[i].variable);
    if (found == variables.end()) continue;
    file_.Add(RecordType::kSetting, PackedWriter().Text(kOptions[i].name).Text(found->second));
  }
}

void Recorder::WriteTime(uint64_t now_ns) {
  const uint64_t us = now_ns / 1000;
  if (us > time_us_) file_.Add(RecordType::kTime, PackedWriter().Number(us - time_us_));
  time_us_ = std::max(us, time_us_);
  tasks_.SetTime(time_us_ * 1000);
}

uint64_t Recorder::NsUntilRoom(uint64_t now_ns) const {
  // Of records so many bytes a second, of which a fourth is left when they are packed.
  constexpr uint64_t kBytesOfASecond = 240 * 1024;
  constexpr uint64_t kSpare = 4 << 20;
  constexpr uint64_t kPackedOfASecond = 68 * 1024;
  constexpr uint64_t kPackedSpare = 512 * 1024;
  const auto wait = [&](uint64_t bytes, uint64_t of_a_second, uint64_t spare) {
    const uint64_t due_ns = bytes <= spare ? 0 : (bytes - spare) * kMs / of_a_second * 1000;
    return due_ns - std::min(due_ns, now_ns - began_ns_);
  };
  return std::max(wait(file_.record_bytes(), kBytesOfASecond, kSpare),
                  wait(file_.packed_bytes(), kPackedOfASecond, kPackedSpare));
}

uint64_t Recorder::Look() {
  if (stats_fd_ < 0) return kIntervalNs;
  const uint64_t now = NowNs();
  if (now >= next_books_ns_) {
    const uint64_t cpu = CpuNs();
    const bool exact = now >= next_exact_ns_;
    LookAtBooks(now, exact, /*settled=*/false);
    if (exact) {
      next_exact_ns_ = now + kSecond;
      file_.Flush();
    }
    const uint64_t rest = std::min(kRestTimes * (CpuNs() - cpu), 10 * kSecond);
    // Too much has been written: what changes meanwhile is written as one change.
    const uint64_t until_room = NsUntilRoom(now);
    const uint64_t interval =
        until_room == 0 ? kIntervalNs : std::clamp(until_room, kSecond / 2, 2 * kSecond);
    next_books_ns_ = now + std::max(interval, rest);
  }
  LookAtSites(NowNs());
  const uint64_t after = NowNs();
  return next_books_ns_ > after ? next_books_ns_ - after : 0;
}

void Recorder::LookAtBooks(uint64_t now_ns, bool exact, bool settled) {
  // The copy first: whatever it shows has been told by events that are there by then.
  const auto snapshot = StatsSnapshot::Read(stats_fd_, StatsParts::kAll);
  if (!snapshot) return;
  std::vector<Event> events;
  events_->Read(now_ns, settled, &events);
  WriteTime(NowNs());
  tasks_.FollowEvents(events, NsUntilRoom(now_ns) != 0);
  tasks_.FollowBooks(*snapshot, settled ? UINT64_MAX : now_ns, exact);
  charged_bytes_ = 0;
  for (uint32_t slot = 0; slot < snapshot->slots(); ++slot) {
    charged_bytes_ += snapshot->Book(slot).charged_bytes;
  }
  WritePools(snapshot->Header());
  constexpr uint64_t kProcessIntervalNs = 50 * kMs;
  if (now_ns >= next_process_ns_ || exact) {
    next_process_ns_ = now_ns + kProcessIntervalNs;
    WriteProcess(snapshot->Header());
  }
  WriteDropped();
}

void Recorder::WritePools(const StatsHeader& header) {
  const PoolStats& pools = header.pools;
  const uint64_t memory = pools.memory_bytes;
  std::vector<uint64_t> values = {memory + 1,  // none: 0; not known: 1
                                  pools.execution_size_bytes,
                                  pools.execution_used_bytes,
                                  pools.storage_size_bytes,
                                  pools.storage_used_bytes,
                                  pools.overdrawn_bytes,
                                  pools.active_tasks,
                                  pools.untouched_bytes,
                                  pools.slack_bytes};
  if (values == pools_) return;
  pools_ = std::move(values);
  PackedWriter record;
  for (const uint64_t value : pools_) record.Number(value);
  file_.Add(RecordType::kPools, record);
}

void Recorder::WriteProcess(const StatsHeader& header) {
  uint64_t resident = ReadResidentBytes(pid_).now;
  if (resident == 0) resident = header.resident_bytes_at_exit;
  std::vector<uint64_t> values = {resident, charged_bytes_, header.peak_charged_bytes,
                                  header.own_bytes};
  if (values == process_) return;
  process_ = std::move(values);
  PackedWriter record;
  for (const uint64_t value : process_) record.Number(value);
  file_.Add(RecordType::kProcess, record);
}

void Recorder::WriteDropped() {
  const uint64_t dropped = lost_before_ + events_->lost() + tasks_.left_out();
  if (dropped == dropped_) return;
  file_.Add(RecordType::kDropped, PackedWriter().Number(dropped - dropped_));
  dropped_ = dropped;
}

void Recorder::LookAtSites(uint64_t now_ns) {
  constexpr uint64_t kLeastGrowthBytes = 1 << 20;
  constexpr uint64_t kGrowthPart = 8;
  constexpr uint64_t kGrowthRestTimes = kRestTimes / 2;
  const bool has_grown =
      charged_bytes_ > looked_at_bytes_ + looked_at_bytes_ / kGrowthPart + kLeastGrowthBytes;
  if (now_ns < (has_grown ? next_growth_ns_ : next_sites_ns_)) return;
  const uint64_t cpu = CpuNs();
  const auto books = ReadProcessBooks({std::string(stats_path_, 0, stats_path_.rfind('/'))}, pid_);
  std::string error;
  const auto audit = books ? TakeAudit(*books, &error) : std::nullopt;
  const uint64_t took = CpuNs() - cpu;
  const uint64_t after = NowNs();
  next_sites_ns_ = after + std::max(kSecond, kRestTimes * took);
  next_growth_ns_ = after + std::max(kIntervalNs, kGrowthRestTimes * took);
  // Another program's by now: these are not its tasks.
  if (!audit || HasEnded()) return;
  looked_at_bytes_ = has_grown ? charged_bytes_ : std::max(looked_at_bytes_, charged_bytes_);
  WriteTime(NowNs());
  sites_.Follow(*audit, tasks_);
}

bool Recorder::HasEnded() const {
  struct stat status;
  if (stats_fd_ < 0 || fstat(stats_fd_, &status) != 0) return true;
  // Its exec gave it another file in place of this one.
  return status.st_nlink == 0 || !IsProcessAlive();
}

bool Recorder::IsProcessAlive() const { return IsAlive(pid_, start_time_); }

void Recorder::Detach(EndReason reason, int signal) {
  if (stats_fd_ < 0) return;
  // Who is gone writes nothing any more.
  LookAtBooks(NowNs(), true, reason != EndReason::kStopped);
  lost_before_ += events_->lost();
  events_.reset();
  // What a process holds at its end is what it left behind.
  if (reason == EndReason::kExecuted) tasks_.ForgetAll();
  sites_.ForgetAll();
  file_.Add(
      RecordType::kEnd,
      PackedWriter().Number(static_cast<uint32_t>(reason)).Number(static_cast<unsigned>(signal)));
  file_.Flush();
  close(stats_fd_);
  stats_fd_ = -1;
}

uint64_t Recorder::recorded_ns() const { return time_us_ * 1000 - began_ns_; }

}  // namespace taskmem
