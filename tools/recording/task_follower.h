// Which tasks a process has and what becomes of them, as records: from copies of its books, and
// from events, which say what happens between two copies.
#ifndef TASKMEM_TOOLS_RECORDING_TASK_FOLLOWER_H_
#define TASKMEM_TOOLS_RECORDING_TASK_FOLLOWER_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "accounting/audit/event_ring.h"
#include "tools/recording/frame_writer.h"
#include "tools/recording/record_types.h"
#include "tools/stats/stats_snapshot.h"

namespace taskmem {

class TaskFollower {
 public:
  // `file` outlives it.
  explicit TaskFollower(FrameWriter* file) : file_(file) {}

  // The time of the records that follow, which the file has been told of.
  void SetTime(uint64_t now_ns) { now_ns_ = now_ns; }

  // Events in order; before the copy of the books that was made at the same time. `spare`: where
  // there is little room in the file, tasks that have ended before a copy shows them are counted
  // and left out, unless they leave much behind.
  void FollowEvents(const std::vector<Event>& events, bool spare);

  // A copy of the books that was begun at `begun_ns`; UINT64_MAX: they change no more. Changes of a
  // charge below the step of its task wait for later, unless `exact`.
  void FollowBooks(const StatsSnapshot& books, uint64_t begun_ns, bool exact);

  // The process is gone, or another program took its place: all tasks are.
  void ForgetAll();

  // The number in the recording of the task in the slot; nothing: none, or one with another id.
  std::optional<uint64_t> TaskIn(uint32_t slot, std::optional<uint64_t> id) const;

  // Events that were left out.
  uint64_t left_out() const { return left_out_; }

 private:
  struct Slot {
    bool has_task = false;
    bool has_ended = false;
    // An event told of a task that is not written, `id`: whether a copy of the books shows it
    // before it ends decides about it.
    bool is_pending = false;
    bool is_left_out = false;  // it has ended
    uint64_t began_ns = 0;
    uint64_t number = 0;  // of its task in the recording
    uint64_t id = 0;
    std::string name;
    uint64_t quota = 0;
    uint64_t charged = 0;  // as was written
    std::array<uint64_t, kCounters> counters = {};
    uint64_t changed_ns = 0;  // by an event that says more than books of before
  };

  Slot& At(uint32_t slot);
  int64_t RelativeUs(uint64_t time_ns) const;
  void Begin(uint32_t slot, uint64_t id, const std::string& name, uint64_t quota, uint64_t time_ns,
             uint32_t flags);
  void End(Slot* slot, uint64_t peak, uint64_t held, uint64_t time_ns);
  void Gone(Slot* slot);
  void FollowEvent(const Event& event, bool spare);
  void FollowBook(uint32_t slot, const StatsSnapshot& books, bool exact);
  void WriteCharge(Slot* slot, uint64_t charged);

  FrameWriter* const file_;
  uint64_t now_ns_ = 0;
  uint64_t tasks_ = 0;  // ever begun
  uint64_t left_out_ = 0;
  bool is_first_ = true;  // no copy has been seen
  std::vector<Slot> slots_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_RECORDING_TASK_FOLLOWER_H_
