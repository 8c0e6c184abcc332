#include "tools/stats/residency_looks.h"

#include <algorithm>

#include "tools/base/process_info.h"
#include "tools/remote/remote_memory.h"

namespace taskmem {
namespace {

constexpr int kRestFactor = 50;

uint32_t SlotsOf(const StatsHeader& header) {
  return std::max(header.task_slots.load(), kFirstTaskSlot);
}

}  // namespace

void ResidencyLooks::BeginRound() {
  std::erase_if(known_, [&](const auto& entry) { return entry.second.round != round_; });
  ++round_;
  used_ = {};
}

const ResidencyLooks::Known& ResidencyLooks::Look(const StatsHeader& header) {
  const auto pid = static_cast<pid_t>(header.pid);
  Known& known = known_[{pid, header.start_time}];
  known.round = round_;
  const Time begin = std::chrono::steady_clock::now();
  if (begin < known.rests_until || used_ >= time_of_round_) return known;
  const RemoteMemory memory(pid, time_of_round_ - used_);
  auto now = LookAtResident(pid, memory, header.audit, SlotsOf(header));
  known.is_found = now.has_value();
  if (now) known.now = *std::move(now);
  const Time end = std::chrono::steady_clock::now();
  used_ += end - begin;
  known.rests_until = end + kRestFactor * used_;
  return known;
}

void ResidencyLooks::Refresh(const Read& read, ProcessStats* process) {
  if (!process->is_alive || process->has_exited || process->has_left) return;
  if (wanted_ && !wanted_(*process)) return;
  const auto before = read(StatsParts::kHeader);
  if (!before) return;
  const StatsHeader& header = before->Header();
  if (header.pid != static_cast<uint32_t>(process->pid) ||
      header.start_time != process->start_time) {
    return;
  }
  const Known& known = Look(header);
  if (!known.is_found || known.now.more_bytes.empty()) return;
  const auto books = read(StatsParts::kAll);
  if (!books || books->Header().pid != header.pid ||
      books->Header().start_time != header.start_time) {
    return;
  }
  // By a pid that has been given to another by now it was another that was looked at.
  const bool holds =
      ResidencyChanges(RemoteMemory(process->pid), header.audit) == known.now.changes &&
      IsAlive(process->pid, process->start_time);
  *process = ReadProcessStats(*books, holds ? known.now.more_bytes : std::vector<int64_t>());
}

}  // namespace taskmem
