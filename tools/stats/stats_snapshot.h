// A copy of a stats file (accounting/audit/stats_layout.h), read while its process goes on writing,
// or after somebody cut or damaged it: it is never mapped, and nothing in it is trusted. Counts are
// within the bounds of the layout, and what the file is too short for is zero.
#ifndef TASKMEM_TOOLS_STATS_STATS_SNAPSHOT_H_
#define TASKMEM_TOOLS_STATS_STATS_SNAPSHOT_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "accounting/audit/stats_layout.h"

namespace taskmem {

// How much of the file is wanted.
enum class StatsParts { kHeader, kIdentities, kAll };

// What a slot of tasks stands for.
struct SlotIdentity {
  TaskState state = TaskState::kFree;
  uint64_t id = 0;
  std::string name;
};

class StatsSnapshot {
 public:
  // Nothing where the file is none of ours, of another version, or only half made.
  static std::optional<StatsSnapshot> Read(const std::string& path, StatsParts parts);
  // The same of an open file, which stays the caller's.
  static std::optional<StatsSnapshot> Read(int fd, StatsParts parts);

  const StatsHeader& Header() const { return *header_; }
  // Of the task slots ever used; at least the first five, which are of no task.
  uint32_t slots() const { return static_cast<uint32_t>(books_.size()); }
  const TaskBook& Book(uint32_t slot) const { return books_[slot]; }
  const SlotIdentity& Identity(uint32_t slot) const { return identities_[slot]; }
  const AllocatorsTable& Allocators() const { return *allocators_; }  // not of kHeader
  const ReclaimBook& Reclaim(uint32_t slot) const { return reclaim_books_[slot]; }  // kAll
  const std::vector<ThreadEntry>& Threads() const { return threads_; }              // kAll

 private:
  StatsSnapshot()
      : header_(std::make_unique<StatsHeader>()),
        allocators_(std::make_unique<AllocatorsTable>()) {}

  void ReadIdentities(int fd);

  std::unique_ptr<StatsHeader> header_;
  std::unique_ptr<AllocatorsTable> allocators_;
  std::vector<TaskBook> books_;
  std::vector<SlotIdentity> identities_;
  std::vector<ReclaimBook> reclaim_books_;
  std::vector<ThreadEntry> threads_;
};

// Text in a field of a fixed size, which may lack its end.
template <size_t kBytes>
std::string FieldText(const char (&bytes)[kBytes]) {
  return std::string(bytes, std::find(bytes, bytes + kBytes, '\0'));
}

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_STATS_STATS_SNAPSHOT_H_
