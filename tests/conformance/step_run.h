// One step while it is performed: what it is ended by, and what is seen of it.
#ifndef TASKMEM_TESTS_CONFORMANCE_STEP_RUN_H_
#define TASKMEM_TESTS_CONFORMANCE_STEP_RUN_H_

#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "accounting/pools/unified_memory_manager.h"
#include "tests/conformance/json.h"

namespace taskmem::conformance {

// What a call came to. Null: nothing.
struct Outcome {
  Json res;
  Json err;
};

// What a scripted evictor is told to do when it is asked.
struct ScriptedEviction {
  Json block;  // null: for execution
  int64_t asked = 0;
  std::vector<Json> calls;
  int64_t freed = 0;
};

// Written by the thread of the step, read by the replayer once that is idle or waits.
class StepRun {
 public:
  explicit StepRun(int64_t step) : i(step) {}

  // Of the thread that calls; nullptr outside a step.
  static StepRun* Current() { return current_; }

  class Scope {
   public:
    explicit Scope(StepRun& run) { current_ = &run; }
    ~Scope() { current_ = nullptr; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
  };

  // What has no end is cut, before it takes all memory.
  static constexpr size_t kMaxEvents = 100'000;

  void Add(Json event) {
    const std::lock_guard lock(mutex_);
    if (events_.size() < kMaxEvents) events_.push_back(std::move(event));
  }

  void RemoveLast() {
    const std::lock_guard lock(mutex_);
    if (!events_.empty()) events_.erase(events_.size() - 1);
  }

  // The events since they were last taken.
  Json TakeEvents() {
    const std::lock_guard lock(mutex_);
    return std::exchange(events_, Json::array());
  }

  void Finish(Outcome outcome, std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    is_finished_ = true;
    outcome_ = std::move(outcome);
    failure_ = std::move(failure);
  }

  bool is_finished() {
    const std::lock_guard lock(mutex_);
    return is_finished_;
  }

  // Once it is finished. Throws what the step threw.
  Outcome TakeOutcome() {
    const std::lock_guard lock(mutex_);
    if (failure_ != nullptr) std::rethrow_exception(failure_);
    return std::move(outcome_);
  }

  const int64_t i;
  Cancellation own_cancellation;
  // Ends the wait of the step.
  Cancellation* cancellation = &own_cancellation;

  // Of the thread of the step alone:
  bool has_waited = false;
  std::deque<ScriptedEviction> scripted_evictions;

 private:
  static inline thread_local StepRun* current_ = nullptr;

  std::mutex mutex_;
  Json events_ = Json::array();
  bool is_finished_ = false;
  Outcome outcome_;
  std::exception_ptr failure_;
};

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_STEP_RUN_H_
