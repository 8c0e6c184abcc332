// What is exported of the processes of this host, look after look.
//
// Figures of a process end with it. Those of a task's name are summed up over all tasks of that
// name in all processes of that program; their counters go on when tasks and processes end. At most
// so many names have series of their own, those that held most when they came; all others are
// summed up as "other". A name whose tasks have all been gone for ten minutes becomes a part of
// that, with all it has counted.
#ifndef TASKMEM_TOOLS_METRICS_METRICS_BOOK_H_
#define TASKMEM_TOOLS_METRICS_METRICS_BOOK_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tools/metrics/metrics_text.h"
#include "tools/stats/stats_reader.h"

namespace taskmem {

class MetricsBook {
 public:
  static constexpr size_t kNames = 50;
  // More have no series; how many is one.
  static constexpr size_t kMostProcesses = 500;
  static constexpr uint64_t kForgetAfterNs = 600'000'000'000;

  explicit MetricsBook(size_t most_names = kNames) : most_names_(most_names) {}

  // A look at `time_ns`, of CLOCK_MONOTONIC.
  void Update(std::vector<ProcessStats> processes, uint64_t time_ns);

  std::string Text(MetricsFormat format) const;

 private:
  // Of tasks; they only grow while a task is the same.
  struct Counters {
    uint64_t refusals = 0;
    uint64_t overdrafts = 0;
    uint64_t spilled_bytes = 0;
    uint64_t evicted_bytes = 0;
    uint64_t pushed_out_bytes = 0;
    uint64_t returned_bytes = 0;
    uint64_t stalls = 0;
    uint64_t stall_ns = 0;
    uint64_t wait_ns = 0;

    // Adds what `now` has more than `before`; all of it where that is a new task with the old id.
    void AddGrowth(const Counters& before, const Counters& now);
    void Add(const Counters& other) { AddGrowth({}, other); }
  };
  struct Gauges {
    uint64_t live = 0;
    uint64_t charged_bytes = 0;
    uint64_t retained_bytes = 0;
    uint64_t largest_bytes = 0;  // the largest peak of a task of now
    uint64_t overflow_bytes = 0;
    double share = 0;  // the largest of a quota
  };
  struct Series {
    Gauges now;
    Counters counters;
    uint64_t seen_ns = 0;
  };
  using Name = std::pair<std::string, std::string>;  // program, task
  // Process, its start, task and name: of ended tasks an id may be there twice.
  using Key = std::tuple<pid_t, uint64_t, uint64_t, std::string>;

  static Counters CountersOf(const TaskStats& task);
  Series& SeriesOf(const std::string& program, const std::string& task);
  void ForgetIdle();
  void AddProcesses(MetricsText* text) const;
  void AddPools(MetricsText* text) const;
  void AddNames(MetricsText* text) const;

  const size_t most_names_;
  std::vector<ProcessStats> processes_;
  std::map<Key, Counters> last_;
  std::map<Name, Series> names_;
  Series other_;
  uint64_t time_ns_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_TOOLS_METRICS_METRICS_BOOK_H_
