// taskmem's C API with C++ lifetimes: consumers that unregister themselves, tasks and threads
// that go back to what they were. Header only, C++17, with exceptions or without; works without the
// library as taskmem.h does (error() is ENOSYS then, and nobody is ever asked to spill).
#ifndef TASKMEM_SHIM_TASKMEM_HPP_
#define TASKMEM_SHIM_TASKMEM_HPP_

#ifdef __cpp_exceptions
#include <cxxabi.h>
#endif

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

#include "taskmem.h"

namespace taskmem {

// Something that holds memory of a task and gives it back when asked (taskmem_spill_fn says
// what that may do, and which locks it may take). Neither copied nor moved.
class SpillConsumer {
 public:
  // Frees about `bytes_needed`; returns how much that was. `trigger`: for whom, 0: not known.
  // What it throws is taken for 0.
  using Spill = std::function<std::uint64_t(std::uint64_t bytes_needed, taskmem_consumer trigger)>;

  struct Options {
    std::uint64_t task = TASKMEM_CURRENT_TASK;
    const char* name = nullptr;
    std::uint64_t used_bytes = 0;
    int mode = TASKMEM_OFF_HEAP;
    int run_on = TASKMEM_ALLOCATING_THREAD;
  };

  explicit SpillConsumer(Spill spill) : SpillConsumer(std::move(spill), Options()) {}
  SpillConsumer(Spill spill, const Options& options) : state_(new State{std::move(spill), {1}}) {
    taskmem_consumer_options wanted = {};
    wanted.size = sizeof(wanted);
    wanted.name = options.name;
    wanted.spill = Call;
    wanted.context = state_;
    wanted.used_bytes = options.used_bytes;
    wanted.mode = options.mode;
    wanted.run_on = options.run_on;
    error_ = taskmem_consumer_register(options.task, &wanted, &id_);
  }
  SpillConsumer(const SpillConsumer&) = delete;
  SpillConsumer& operator=(const SpillConsumer&) = delete;

  // Waits for a spill that runs on another thread. May be called inside it.
  ~SpillConsumer() {
    Unregister();
    Release(state_);
  }

  // 0, or why nobody asks it.
  int error() const { return error_; }
  // 0 where it is not registered.
  taskmem_consumer id() const { return id_; }

  // What it could give back now; with 0 it is not asked. Lock-free.
  int Report(std::uint64_t used_bytes) { return taskmem_consumer_report(id_, used_bytes); }

  // From here on the callable is not called, and what it refers to may go. EDEADLK: not yet
  // (taskmem_consumer_unregister).
  int Unregister() { return id_ != 0 ? taskmem_consumer_unregister(std::exchange(id_, 0)) : 0; }

 private:
  // Outlives the consumer where that goes inside its own spill.
  struct State {
    Spill spill;
    std::atomic<int> users;
  };

  static void Release(State* state) {
    if (state->users.fetch_sub(1) == 1) delete state;
  }

  static std::uint64_t Call(void* context, std::uint64_t bytes_needed, taskmem_consumer trigger) {
    auto* const state = static_cast<State*>(context);
    struct User {
      explicit User(State* used) : state(used) { state->users.fetch_add(1); }
      ~User() { Release(state); }
      State* const state;
    };
    const User user(state);
#ifdef __cpp_exceptions
    try {
      return state->spill(bytes_needed, trigger);
    } catch (abi::__forced_unwind&) {  // the thread ends
      throw;
    } catch (...) {
      return 0;
    }
#else
    return state->spill(bytes_needed, trigger);
#endif
  }

  State* const state_;
  taskmem_consumer id_ = 0;
  int error_ = 0;
};

// What this thread allocates while it lives is for that consumer: it is asked last.
class ConsumerScope {
 public:
  explicit ConsumerScope(const SpillConsumer& consumer) {
    error_ = taskmem_thread_consumer(consumer.id(), &previous_);
  }
  ~ConsumerScope() {
    // The one before may be gone: then there is none.
    if (error_ == 0 && taskmem_thread_consumer(previous_, nullptr) != 0) {
      (void)taskmem_thread_consumer(0, nullptr);
    }
  }
  ConsumerScope(const ConsumerScope&) = delete;
  ConsumerScope& operator=(const ConsumerScope&) = delete;

 private:
  taskmem_consumer previous_ = 0;
  int error_ = 0;
};

// From here to the end of the scope this thread works for a task that lives, or for
// TASKMEM_UNTRACKED or TASKMEM_STORAGE; afterwards for the one before, or for none where that has
// ended.
class AttachScope {
 public:
  explicit AttachScope(std::uint64_t id) { error_ = taskmem_thread_attach(id, &previous_); }
  ~AttachScope() {
    if (error_ == 0 && taskmem_thread_attach(previous_, nullptr) != 0) {
      (void)taskmem_thread_detach();
    }
  }
  AttachScope(const AttachScope&) = delete;
  AttachScope& operator=(const AttachScope&) = delete;

  int error() const { return error_; }

 private:
  std::uint64_t previous_ = TASKMEM_UNTRACKED;
  int error_ = 0;
};

// A task, from here to the end of the scope, that this thread works for.
class TaskScope {
 public:
  explicit TaskScope(std::uint64_t id, std::uint64_t quota_bytes = 0, const char* name = nullptr)
      : id_(id) {
    const taskmem_options options = {sizeof(taskmem_options), quota_bytes, name};
    error_ = taskmem_task_begin(id, &options);
    if (error_ == 0) error_ = taskmem_thread_attach(id, &previous_);
  }
  ~TaskScope() {
    if (error_ != 0) return;
    if (taskmem_thread_attach(previous_, nullptr) != 0) (void)taskmem_thread_detach();
    (void)taskmem_task_end(id_, nullptr);
  }
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  int error() const { return error_; }
  std::uint64_t id() const { return id_; }

 private:
  const std::uint64_t id_;
  std::uint64_t previous_ = TASKMEM_UNTRACKED;
  int error_ = 0;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_TASKMEM_HPP_
