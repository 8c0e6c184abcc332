// A task with a quota and things that hold its memory, for tests of spill hooks.
#ifndef TASKMEM_SPILL_HOOKS_SPILL_HOOKS_TESTING_H_
#define TASKMEM_SPILL_HOOKS_SPILL_HOOKS_TESTING_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "spill/hooks/spill_hooks.h"

namespace taskmem {

inline constexpr uint64_t kTestTask = 7;
inline constexpr int64_t kTestTimeoutNs = 20'000'000;
inline constexpr int64_t kLongNs = int64_t{60} * 1'000'000'000;

// One task, whatever its number; its book is `charged`.
class TestHost final : public SpillHost {
 public:
  ~TestHost() {
    for (std::thread& thread : threads_) thread.join();
  }

  uint64_t MissingBytes(const SpillRequest& request, uint64_t) override {
    const uint64_t limit = request.is_soft ? soft_limit.load() : quota.load();
    const uint64_t wanted = charged.load() + request.bytes;
    return wanted > limit ? wanted - limit : 0;
  }
  uint64_t ChargedBytes(uint64_t) override {
    if (look) look();
    return charged.load();
  }
  void CollectFreed(bool everywhere) override {
    if (everywhere) ++collected_everywhere;
    if (collect) collect();
  }
  void EnterHook(HookState* state) override {
    state->words[0] = 42;
    ++inside;
  }
  void LeaveHook(const HookState& state) override {
    EXPECT_EQ(state.words[0], 42u);
    --inside;
  }
  void AbandonHook(const HookState& state) override { LeaveHook(state); }
  bool StartThread(void (*run)(void*), void* argument) override {
    if (!can_start_threads || (refuses_each != 0 && ++asked_to_start % refuses_each == 0))
      return false;
    const std::lock_guard lock(mutex_);
    threads_.emplace_back(run, argument);
    ++started;
    return true;
  }
  bool StartWatchThread(void (*run)(void*), void* argument) override {
    if (!watches) return false;
    const std::lock_guard lock(mutex_);
    threads_.emplace_back(run, argument);
    ++watches_started;
    return true;
  }
  int ThreadId() override { return gettid(); }
  int64_t HangNs() override { return kTestTimeoutNs; }
  void NoteHang(const HookHang& hang) override {
    const std::lock_guard lock(mutex_);
    hangs.push_back(hang);
    ++hangs_told;
  }
  void Count(const SpillCount& count) override {
    ++(count.is_soft ? soft_calls : calls);
    freed += count.freed_bytes;
  }
  void NoteException(uint64_t, const char* name) override {
    const std::lock_guard lock(mutex_);
    threw.push_back(name);
  }
  void SoftSpillEnded(uint64_t, uint64_t) override { ++soft_spills_ended; }

  std::atomic<uint64_t> charged{0};
  std::atomic<uint64_t> quota{1000};
  std::atomic<uint64_t> soft_limit{800};
  std::atomic<int> inside{0};
  std::atomic<int> started{0};
  std::atomic<int> calls{0};
  std::atomic<int> soft_calls{0};
  std::atomic<int> soft_spills_ended{0};
  std::atomic<int> collected_everywhere{0};
  std::atomic<uint64_t> freed{0};
  std::atomic<int> watches_started{0};
  std::atomic<int> hangs_told{0};
  bool can_start_threads = true;
  uint32_t refuses_each = 0;  // so manieth attempt to start a thread
  std::atomic<uint32_t> asked_to_start{0};
  bool watches = false;
  std::function<void()> collect;
  std::function<void()> look;  // at what is charged
  std::vector<std::string> threw;
  std::vector<HookHang> hangs;

 private:
  std::mutex mutex_;
  std::vector<std::thread> threads_;
};

// Holds memory of the task and frees what it is asked for, at most `step` at a time.
class Cache {
 public:
  using Hook = std::function<uint64_t(uint64_t bytes, uint64_t trigger)>;

  Cache(TestHost& host, SpillHooks& hooks, std::string name, uint64_t bytes,
        SpillThread runs_on = SpillThread::kAllocating, uint64_t task = kTestTask)
      : host_(host), name_(std::move(name)), held_(bytes) {
    host_.charged += bytes;
    SpillConsumerOptions options = {};
    options.task = task;
    options.runs_on = runs_on;
    options.spill = Spill;
    options.context = this;
    options.name = name_.c_str();
    options.used_bytes = bytes;
    EXPECT_EQ(hooks.Register(options, &id_), 0);
  }
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  uint64_t id() const { return id_; }
  uint64_t held() const { return held_.load(); }

  uint64_t Free(uint64_t bytes) {
    const uint64_t freed = std::min(bytes, held_.load());
    held_ -= freed;
    host_.charged -= freed;
    return freed;
  }

  uint64_t step = UINT64_MAX;
  Hook hook;  // instead of the usual
  std::atomic<int> calls{0};
  std::vector<std::string>* log = nullptr;  // "<name> <bytes asked>"
  uint64_t last_trigger = 0;

 private:
  static uint64_t Spill(void* context, uint64_t bytes, uint64_t trigger) {
    auto& cache = *static_cast<Cache*>(context);
    ++cache.calls;
    EXPECT_TRUE(SpillHooks::IsInHook());
    EXPECT_GT(cache.host_.inside.load(), 0);
    cache.last_trigger = trigger;
    if (cache.log != nullptr) cache.log->push_back(cache.name_ + " " + std::to_string(bytes));
    return cache.hook ? cache.hook(bytes, trigger) : cache.Free(std::min(bytes, cache.step));
  }

  TestHost& host_;
  const std::string name_;
  std::atomic<uint64_t> held_;
  uint64_t id_ = 0;
};

inline SpillRequest RequestOf(uint64_t bytes, uint64_t trigger = 0, int64_t timeout_ns = kLongNs) {
  SpillRequest request;
  request.task = kTestTask;
  request.bytes = bytes;
  request.trigger = trigger;
  request.timeout_ns = timeout_ns;
  return request;
}

template <typename Condition>
void Await(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

class SpillHooksTest : public ::testing::Test {
 protected:
  ~SpillHooksTest() override { EXPECT_EQ(host_.inside, 0); }

  TestHost host_;
  SpillHooks hooks_{host_, SystemMemory()};
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_HOOKS_SPILL_HOOKS_TESTING_H_
