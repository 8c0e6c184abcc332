#include "tests/conformance/logical_threads.h"

#include <iterator>
#include <utility>

namespace taskmem::conformance {
namespace {

// A thread that becomes idle says so, one that begins to wait does not: how often to look.
constexpr std::chrono::microseconds kLookAgain{50};

}  // namespace

LogicalThreads::~LogicalThreads() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
    for (auto& [name, thread] : threads_) thread.changed.notify_one();
  }
  for (auto& [name, thread] : threads_) thread.thread.join();
}

void LogicalThreads::Run(const std::string& name, std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  Thread& thread = threads_[name];
  thread.work = std::move(work);
  ++busy_;
  if (thread.thread.joinable()) {
    thread.changed.notify_one();
  } else {
    thread.thread = std::thread([this, &thread] { Loop(thread); });
  }
}

bool LogicalThreads::IsBusy(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto thread = threads_.find(name);
  return thread != threads_.end() && thread->second.work != nullptr;
}

void LogicalThreads::Loop(Thread& self) {
  std::unique_lock lock(mutex_);
  for (;;) {
    self.changed.wait(lock, [&] { return self.work != nullptr || is_ending_; });
    if (self.work == nullptr) return;
    lock.unlock();
    self.work();
    lock.lock();
    self.work = nullptr;
    --busy_;
    became_idle_.notify_all();
  }
}

bool LogicalThreads::Await(std::unique_lock<std::mutex>& lock,
                           const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kLimit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    became_idle_.wait_for(lock, kLookAgain);
  }
  return true;
}

bool LogicalThreads::AwaitQuiescence() {
  std::unique_lock lock(mutex_);
  return Await(lock, [this] { return busy_ == waiting_(); });
}

bool LogicalThreads::AwaitIdle() {
  std::unique_lock lock(mutex_);
  return Await(lock, [this] { return busy_ == 0; });
}

LogicalThreads::Settling::Settling(LogicalThreads& threads) : threads_(threads) {
  const std::lock_guard lock(threads_.mutex_);
  number_ = ++threads_.last_settling_;
  threads_.settling_.insert(number_);
}

LogicalThreads::Settling::~Settling() {
  const std::lock_guard lock(threads_.mutex_);
  threads_.settling_.erase(number_);
}

bool LogicalThreads::Settling::Await() {
  std::unique_lock lock(threads_.mutex_);
  return threads_.Await(lock, [this] {
    const std::set<uint64_t>& settling = threads_.settling_;
    const auto left_out = std::distance(settling.begin(), settling.upper_bound(number_));
    return threads_.busy_ - left_out == threads_.waiting_();
  });
}

}  // namespace taskmem::conformance
