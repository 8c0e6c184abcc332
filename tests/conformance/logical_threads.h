// The threads of a trace, and when nothing more happens on them.
//
// A thread is idle, runs, or waits for execution memory. Only what runs can change
// anything, so a step has ended when every thread that is not idle waits:
//
//   busy == waiting
//
// Whoever is answered no longer waits before whoever answered goes on, so that this cannot
// be seen too early.
#ifndef TASKMEM_TESTS_CONFORMANCE_LOGICAL_THREADS_H_
#define TASKMEM_TESTS_CONFORMANCE_LOGICAL_THREADS_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace taskmem::conformance {

class LogicalThreads {
 public:
  // Far longer than anything takes; what takes longer is stuck.
  static constexpr std::chrono::seconds kLimit{30};

  // `waiting` says how many threads wait for execution memory.
  explicit LogicalThreads(std::function<int()> waiting) : waiting_(std::move(waiting)) {}
  LogicalThreads(const LogicalThreads&) = delete;
  LogicalThreads& operator=(const LogicalThreads&) = delete;
  // All must be idle.
  ~LogicalThreads();

  // Runs `work` on the thread, which must be idle and is started where there is none yet.
  void Run(const std::string& thread, std::function<void()> work);
  bool IsBusy(const std::string& thread);

  // Returns when nothing more happens. False: it did not come to that.
  bool AwaitQuiescence();
  // The same, for all threads to become idle.
  bool AwaitIdle();

  // Inside `work`, around what lets others go on. It is begun before that: whom it lets go on
  // may settle in turn, and must not be taken for one that did so before.
  class Settling {
   public:
    explicit Settling(LogicalThreads& threads);
    ~Settling();
    Settling(const Settling&) = delete;
    Settling& operator=(const Settling&) = delete;

    // Returns when nothing more happens on other threads, except on those that began to settle
    // before: they wait for this one. False: it did not come to that.
    bool Await();

   private:
    LogicalThreads& threads_;
    uint64_t number_ = 0;  // ascending
  };

 private:
  struct Thread {
    std::function<void()> work;  // null: idle
    std::condition_variable changed;
    std::thread thread;
  };

  void Loop(Thread& self);
  bool Await(std::unique_lock<std::mutex>& lock, const std::function<bool()>& condition);

  const std::function<int()> waiting_;
  std::mutex mutex_;
  std::condition_variable became_idle_;
  std::map<std::string, Thread> threads_;
  int busy_ = 0;
  uint64_t last_settling_ = 0;
  std::set<uint64_t> settling_;
  bool is_ending_ = false;
};

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_LOGICAL_THREADS_H_
