// What `taskmem top` shows, but for how it looks: the tasks of some processes, as they were at the
// last look and over the last minute.
#ifndef TASKMEM_TOOLS_TOP_TOP_MODEL_H_
#define TASKMEM_TOOLS_TOP_TOP_MODEL_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "tools/stats/stats_reader.h"

namespace taskmem {

enum class TopColumn {
  kPid,
  kTask,
  kName,
  kHeld,  // charged now
  kShare,
  kPeak,
  kGrowth,
  kRefused,
  kSpilled,
  kOverflow,
  kStalled
};
inline constexpr size_t kTopColumns = 11;

// Tells a task from all others, but for one that ended and had the same id.
struct TaskKey {
  pid_t pid = 0;
  uint64_t start_time = 0;
  uint64_t id = 0;   // UINT64_MAX: none, and the name tells
  std::string name;  // only then
  auto operator<=>(const TaskKey&) const = default;
};

struct TopTask {
  TaskKey key;
  TaskStats stats;
  std::string name;            // as it may be printed
  double growth = 0;           // bytes a second
  uint64_t spilled_bytes = 0;  // freed by hooks, and evicted for it
  double share = -1;           // of its quota; less than 0: it has none
};

// Of one process, a second.
struct TopRates {
  double charged = 0;  // bytes
  double spilled = 0;
  double overflow = 0;  // pushed out and come back
  double refusals = 0;
  double stalled = 0;  // seconds, of all threads
};

struct TopProcess {
  ProcessStats stats;  // without its tasks
  TopRates rates;
  size_t live_tasks = 0;
  size_t tasks = 0;
};

class TopModel {
 public:
  static constexpr size_t kHistory = 60;  // looks

  // A look at `time_ns`, of CLOCK_MONOTONIC. Rates are of the time since the one before.
  void Update(std::vector<ProcessStats> processes, uint64_t time_ns);

  // Rows that pass the filter, in order.
  const std::vector<TopTask>& rows() const { return rows_; }
  const std::vector<TopProcess>& processes() const { return processes_; }
  const TopProcess* Find(const TaskKey& key) const;
  const TopTask* FindTask(const TaskKey& key) const;
  size_t all_tasks() const { return tasks_.size(); }

  // What the task held at the last looks, the oldest first; empty: it has just come.
  std::vector<uint64_t> History(const TaskKey& key) const;

  TopColumn sort_column() const { return sort_; }
  bool is_reversed() const { return is_reversed_; }
  const std::string& filter() const { return filter_; }
  // Names in alphabetical order, figures with the largest first, or the reverse.
  void SortBy(TopColumn column);
  void Reverse();
  // Part of a name, of a program, or an id as it is shown; whatever its case. Empty: all.
  void Filter(const std::string& text);

 private:
  // Figures at the look before.
  struct Before {
    uint64_t charged_bytes = 0;
    uint64_t spilled_bytes = 0;
    uint64_t overflow_bytes = 0;
    uint64_t refusals = 0;
    uint64_t stall_ns = 0;
  };

  void AddProcess(ProcessStats process, double seconds,
                  std::map<std::pair<pid_t, uint64_t>, Before>* sums);
  void Arrange();
  bool Passes(const TopTask& task) const;

  std::vector<TopProcess> processes_;
  std::vector<TopTask> tasks_;
  std::vector<TopTask> rows_;
  std::map<TaskKey, std::deque<uint64_t>> history_;
  std::map<std::pair<pid_t, uint64_t>, Before> sums_;
  uint64_t time_ns_ = 0;
  TopColumn sort_ = TopColumn::kHeld;
  bool is_reversed_ = false;
  std::string filter_;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_TOP_TOP_MODEL_H_
