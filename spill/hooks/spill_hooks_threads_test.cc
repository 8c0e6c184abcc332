// Spill hooks and threads: joining, reclaimer threads, hooks that hang or end their thread,
// unregistering what is in flight, forks, and everything at random.
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "spill/hooks/spill_hooks_testing.h"

// Forked children start threads.
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

namespace taskmem {
namespace {

// A place where a hook stops until it is let go.
class Gate {
 public:
  void Pass() {
    is_reached_ = true;
    Await([this] { return is_open_.load(); });
  }
  void AwaitReached() {
    Await([this] { return is_reached_.load(); });
  }
  void Open() { is_open_ = true; }

 private:
  std::atomic<bool> is_reached_{false};
  std::atomic<bool> is_open_{false};
};

// Until the thread of that number waits for something.
void AwaitAsleep(const std::atomic<int>& tid) {
  Await([&] {
    if (tid == 0) return false;
    std::ifstream stat("/proc/self/task/" + std::to_string(tid) + "/stat");
    std::string text;
    std::getline(stat, text);
    // "TID (name) state ..."
    const size_t name_end = text.rfind(')');
    return name_end != std::string::npos && text.compare(name_end, 4, ") S ") == 0;
  });
}

class SpillHooksThreadsTest : public SpillHooksTest {
 protected:
  // As hook: stops at the gate, then frees what is asked.
  static Cache::Hook Through(Gate& gate, Cache& cache) {
    return [&](uint64_t bytes, uint64_t) {
      gate.Pass();
      return cache.Free(bytes);
    };
  }
};

TEST_F(SpillHooksThreadsTest, SeveralThreadsStartOneSpill) {
  Cache cache(host_, hooks_, "cache", 900);
  Gate gate;
  cache.hook = Through(gate, cache);
  SpillResult first;
  std::thread spilling([&] { first = hooks_.Spill(RequestOf(300)); });
  gate.AwaitReached();
  constexpr int kJoining = 4;
  SpillResult joined[kJoining];
  std::atomic<int> tids[kJoining] = {};
  std::vector<std::thread> joining;
  for (int i = 0; i < kJoining; ++i) {
    joining.emplace_back([&, i] {
      tids[i] = gettid();
      joined[i] = hooks_.Spill(RequestOf(300));
    });
  }
  for (const std::atomic<int>& tid : tids) AwaitAsleep(tid);
  gate.Open();
  spilling.join();
  for (std::thread& thread : joining) thread.join();
  EXPECT_EQ(first.freed_bytes, 200u);
  EXPECT_EQ(cache.calls, 1);
  for (const SpillResult& result : joined) {
    EXPECT_EQ(result.calls, 0u);
    // Who came late found that it fits.
    if (!result.has_joined) continue;
    EXPECT_EQ(result.freed_bytes, 200u);
    EXPECT_FALSE(result.has_timed_out);
    EXPECT_GT(result.waited_ns, 0u);
  }
}

// What was freed shows only when the threads collect it that wait for the spill. Who spills waits
// for them for a few milliseconds and then asks again, which a busy machine may bring about: of
// several spills one goes well.
TEST_F(SpillHooksThreadsTest, WhoJoinsCollectsForWhoSpills) {
  constexpr int kMostSpills = 50;
  bool went_well = false;
  for (int i = 0; i < kMostSpills && !went_well; ++i) {
    Cache cache(host_, hooks_, "cache", 900);
    Gate gate;
    std::atomic<uint64_t> uncollected{0};
    std::atomic<int> joining_tid{0};
    const std::thread::id spilling_id = std::this_thread::get_id();
    host_.collect = [&] {
      if (std::this_thread::get_id() != spilling_id) host_.charged -= uncollected.exchange(0);
    };
    cache.hook = [&](uint64_t bytes, uint64_t) {
      gate.Pass();
      AwaitAsleep(joining_tid);  // it has joined
      host_.charged += bytes;
      uncollected += cache.Free(bytes);
      return bytes;
    };
    std::thread joining([&] {
      gate.AwaitReached();
      joining_tid = gettid();
      hooks_.Spill(RequestOf(300));
    });
    gate.Open();
    const uint64_t freed_bytes = hooks_.Spill(RequestOf(300)).freed_bytes;
    joining.join();
    went_well = freed_bytes == 200 && cache.calls == 1;
    host_.charged = 0;
  }
  EXPECT_TRUE(went_well);
}

TEST_F(SpillHooksThreadsTest, TasksSpillAtOnce) {
  Cache cache(host_, hooks_, "cache", 900);
  Cache other(host_, hooks_, "other", 90, SpillThread::kAllocating, kTestTask + 1);
  Gate gate;
  cache.hook = Through(gate, cache);
  std::thread spilling([&] { hooks_.Spill(RequestOf(300)); });
  gate.AwaitReached();
  SpillRequest request = RequestOf(300);
  request.task = kTestTask + 1;
  EXPECT_EQ(hooks_.Spill(request).calls, 2u);
  gate.Open();
  spilling.join();
}

TEST_F(SpillHooksThreadsTest, WhoJoinsAHangingSpillGivesUpAndSpillsWithoutIt) {
  Cache hanging(host_, hooks_, "hanging", 500);
  Cache other(host_, hooks_, "other", 400);
  Gate gate;
  hanging.hook = Through(gate, hanging);
  std::thread spilling([&] { hooks_.Spill(RequestOf(600)); });
  gate.AwaitReached();
  const SpillResult joined = hooks_.Spill(RequestOf(600, 0, kTestTimeoutNs));
  EXPECT_TRUE(joined.has_joined);
  EXPECT_TRUE(joined.has_timed_out);
  EXPECT_GE(joined.waited_ns, uint64_t{kTestTimeoutNs});
  // Nobody waits for it again.
  const SpillResult own = hooks_.Spill(RequestOf(300));
  EXPECT_FALSE(own.has_joined);
  EXPECT_EQ(own.freed_bytes, 200u);
  EXPECT_EQ(other.calls, 1);
  gate.Open();
  spilling.join();
  EXPECT_EQ(hanging.calls, 1);
  EXPECT_EQ(hooks_.Unregister(other.id()), 0);
  EXPECT_EQ(hooks_.Spill(RequestOf(1000)).calls, 1u);
  EXPECT_EQ(hanging.calls, 2);
}

// Hooks that hang are told of.

TEST_F(SpillHooksThreadsTest, AHookThatHangsIsToldOfOnceThoughNobodyWaits) {
  host_.watches = true;
  Cache cache(host_, hooks_, "cache", 500);
  Gate gate;
  cache.hook = Through(gate, cache);
  std::atomic<int> tid{0};
  std::thread spilling([&] {
    tid = gettid();
    hooks_.Spill(RequestOf(600));
  });
  Await([&] { return host_.hangs_told == 1; });
  // Another that begins later is watched by the same thread, or by one more.
  Cache other(host_, hooks_, "other", 600, SpillThread::kAllocating, 8);
  SpillRequest request = RequestOf(1000);
  request.task = 8;
  other.hook = [&](uint64_t bytes, uint64_t) {
    Await([&] { return host_.hangs_told == 2; });
    return other.Free(bytes);
  };
  hooks_.Spill(request);
  gate.Open();
  spilling.join();
  // One that returns in time is not.
  cache.hook = nullptr;
  hooks_.Spill(RequestOf(1000));
  ASSERT_EQ(host_.hangs.size(), 2u);
  const HookHang& hang = host_.hangs[0];
  EXPECT_EQ(hang.task, kTestTask);
  EXPECT_STREQ(hang.name, "cache");
  EXPECT_EQ(hang.hook_thread, tid);
  EXPECT_EQ(hang.waiting_thread, 0);
  EXPECT_TRUE(hang.is_on_allocating_thread);
  EXPECT_GE(hang.running_ns, kTestTimeoutNs);
  EXPECT_STREQ(host_.hangs[1].name, "other");
  EXPECT_GE(host_.watches_started, 1);
}

TEST_F(SpillHooksThreadsTest, WhoWaitsInVainTellsOfTheHook) {
  Cache cache(host_, hooks_, "cache", 500, SpillThread::kReclaimer);
  Gate gate;
  cache.hook = Through(gate, cache);
  // Again where no thread came to run the hook in that time.
  do {
    hooks_.Spill(RequestOf(600, 0, kTestTimeoutNs));
  } while (cache.calls == 0);
  hooks_.Spill(RequestOf(600, 0, kTestTimeoutNs));
  gate.Open();
  Await([&] { return host_.calls == 1; });
  ASSERT_EQ(host_.hangs.size(), 1u);
  EXPECT_EQ(host_.hangs[0].waiting_thread, gettid());
  EXPECT_NE(host_.hangs[0].hook_thread, gettid());
  EXPECT_FALSE(host_.hangs[0].is_on_allocating_thread);
  EXPECT_EQ(host_.watches_started, 0);
}

// The thread that runs the call lost its processor before it came to the hook.
TEST_F(SpillHooksThreadsTest, WhoWaitsInVainTellsOfTheHookThoughItHasNotBegun) {
  Cache cache(host_, hooks_, "cache", 500, SpillThread::kReclaimer);
  Gate gate;
  const pid_t asking = gettid();
  std::atomic<bool> is_taken{false};
  host_.look = [&] {
    if (gettid() == asking) return;
    is_taken = true;
    gate.Pass();
  };
  // Again where no thread came to take the call in that time.
  do {
    hooks_.Spill(RequestOf(600, 0, kTestTimeoutNs));
  } while (!is_taken);
  EXPECT_EQ(host_.hangs_told, 1);
  gate.Open();
  Await([&] { return host_.calls == 1; });
  EXPECT_EQ(host_.hangs_told, 1);
}

TEST_F(SpillHooksThreadsTest, ACallThatIsTakenBackIsNotCounted) {
  Gate gate;
  std::vector<std::unique_ptr<Cache>> hanging;
  for (uint32_t i = 0; i < Reclaimer::kMaxThreads; ++i) {
    hanging.push_back(
        std::make_unique<Cache>(host_, hooks_, "hanging", 10, SpillThread::kReclaimer, 10 + i));
    hanging.back()->hook = Through(gate, *hanging.back());
  }
  std::vector<std::thread> spilling;
  for (uint32_t i = 0; i < Reclaimer::kMaxThreads; ++i) {
    spilling.emplace_back([&, i] {
      SpillRequest request = RequestOf(990);
      request.task = 10 + i;
      hooks_.Spill(request);
    });
  }
  Await([&] { return host_.inside == static_cast<int>(Reclaimer::kMaxThreads); });
  Cache cache(host_, hooks_, "cache", 500, SpillThread::kReclaimer);
  std::atomic<int> tid{0};
  SpillResult result;
  std::thread asking([&] {
    tid = gettid();
    result = hooks_.Spill(RequestOf(900));
  });
  AwaitAsleep(tid);
  EXPECT_EQ(hooks_.Unregister(cache.id()), 0);
  asking.join();
  EXPECT_EQ(result.calls, 0u);
  EXPECT_EQ(result.asked_bytes, 0u);
  EXPECT_EQ(cache.calls, 0);
  gate.Open();
  for (std::thread& thread : spilling) thread.join();
}

// Reclaimer threads.

TEST_F(SpillHooksThreadsTest, AReclaimerRunsTheHooksThatWantOne) {
  Cache cache(host_, hooks_, "cache", 900, SpillThread::kReclaimer);
  std::thread::id ran_on;
  cache.hook = [&](uint64_t bytes, uint64_t) {
    ran_on = std::this_thread::get_id();
    return cache.Free(bytes);
  };
  for (int i = 0; i < 5; ++i) {
    const SpillResult result = hooks_.Spill(RequestOf(100 + host_.quota - host_.charged));
    EXPECT_EQ(result.freed_bytes, 100u);
    EXPECT_EQ(result.calls, 1u);
  }
  EXPECT_NE(ran_on, std::this_thread::get_id());
  EXPECT_EQ(host_.started, 1);
}

TEST_F(SpillHooksThreadsTest, AHangingReclaimerHookDelaysOnceAndOthersGoOn) {
  Gate gate;
  Cache hanging(host_, hooks_, "hanging", 500, SpillThread::kReclaimer);
  hanging.hook = Through(gate, hanging);
  Cache other(host_, hooks_, "other", 400, SpillThread::kReclaimer);
  SpillResult first;
  do {
    first = hooks_.Spill(RequestOf(600, 0, kTestTimeoutNs));
  } while (hanging.calls == 0);
  EXPECT_TRUE(first.has_timed_out);
  EXPECT_GE(first.waited_ns, uint64_t{kTestTimeoutNs});
  EXPECT_EQ(hanging.calls, 1);
  const SpillResult second = hooks_.Spill(RequestOf(300));
  EXPECT_FALSE(second.has_timed_out);
  EXPECT_EQ(second.freed_bytes, 200u);
  EXPECT_EQ(other.calls, 1);
  EXPECT_EQ(host_.started, 2);
  gate.Open();
  // Once it is over it counts, and is asked again.
  Await([&] { return host_.calls == 2; });
  EXPECT_GT(hooks_.Spill(RequestOf(1000)).calls, 0u);
}

TEST_F(SpillHooksThreadsTest, WhereAllReclaimersHangNobodyWaits) {
  Gate gate;
  std::vector<std::unique_ptr<Cache>> hanging;
  for (uint32_t i = 0; i < Reclaimer::kMaxThreads; ++i) {
    hanging.push_back(
        std::make_unique<Cache>(host_, hooks_, "hanging", 200 + i, SpillThread::kReclaimer));
    hanging.back()->hook = Through(gate, *hanging.back());
    // Again where no thread came to run the hook in that time.
    do {
      EXPECT_TRUE(hooks_.Spill(RequestOf(990, 0, kTestTimeoutNs)).has_timed_out);
    } while (hanging.back()->calls == 0);
  }
  Cache other(host_, hooks_, "other", 100, SpillThread::kReclaimer);
  const SpillResult result = hooks_.Spill(RequestOf(990));
  EXPECT_FALSE(result.has_timed_out);
  EXPECT_EQ(result.waited_ns, 0u);
  EXPECT_EQ(other.calls, 0);
  gate.Open();
  Await([&] { return host_.inside == 0; });
  Await([&] { return hooks_.Spill(RequestOf(1000)).calls > 0; });
}

TEST_F(SpillHooksThreadsTest, WithoutThreadsOtherHooksAreAsked) {
  host_.can_start_threads = false;
  Cache on_reclaimer(host_, hooks_, "reclaimer's", 500, SpillThread::kReclaimer);
  Cache here(host_, hooks_, "here", 400);
  const SpillResult result = hooks_.Spill(RequestOf(300));
  EXPECT_EQ(result.freed_bytes, 200u);
  EXPECT_EQ(on_reclaimer.calls, 0);
  EXPECT_FALSE(hooks_.RequestSoftSpill(kTestTask));
  EXPECT_EQ(hooks_.Unregister(on_reclaimer.id()), 0);
}

// The soft limit.

TEST_F(SpillHooksThreadsTest, ASoftSpillAsksReclaimersHooksOnly) {
  Cache here(host_, hooks_, "here", 500);
  EXPECT_FALSE(hooks_.RequestSoftSpill(kTestTask));
  Cache cache(host_, hooks_, "cache", 450, SpillThread::kReclaimer);
  EXPECT_TRUE(hooks_.RequestSoftSpill(kTestTask));
  Await([&] { return host_.soft_spills_ended == 1; });
  EXPECT_EQ(host_.charged, 800u);
  EXPECT_EQ(host_.soft_calls, 1);
  EXPECT_EQ(host_.calls, 0);
  EXPECT_EQ(here.calls, 0);
}

TEST_F(SpillHooksThreadsTest, AHardSpillWaitsForASoftOne) {
  Gate gate;
  Cache cache(host_, hooks_, "cache", 900, SpillThread::kReclaimer);
  cache.hook = Through(gate, cache);
  EXPECT_TRUE(hooks_.RequestSoftSpill(kTestTask));
  gate.AwaitReached();
  EXPECT_TRUE(hooks_.Spill(RequestOf(200, 0, kTestTimeoutNs)).has_timed_out);
  gate.Open();
  Await([&] { return host_.soft_spills_ended == 1; });
  EXPECT_EQ(hooks_.Spill(RequestOf(200)).calls, 0u);
}

// Unregistering what is in flight.

TEST_F(SpillHooksThreadsTest, UnregisterWaitsForTheCallInFlight) {
  Gate gate;
  Cache cache(host_, hooks_, "cache", 900);
  std::atomic<bool> is_over{false};
  cache.hook = [&](uint64_t bytes, uint64_t) {
    gate.Pass();
    const uint64_t freed = cache.Free(bytes);
    is_over = true;
    return freed;
  };
  std::thread spilling([&] { hooks_.Spill(RequestOf(300)); });
  gate.AwaitReached();
  std::atomic<bool> was_over{false};
  std::thread unregistering([&] {
    EXPECT_EQ(hooks_.Unregister(cache.id()), 0);
    was_over = is_over.load();
  });
  Await([&] { return hooks_.Report(cache.id(), 1) == ENOENT; });
  gate.Open();
  unregistering.join();
  EXPECT_TRUE(was_over);
  spilling.join();
}

TEST_F(SpillHooksThreadsTest, AfterATasksEndUnregisterStillWaits) {
  Gate gate;
  Cache cache(host_, hooks_, "cache", 900);
  cache.hook = Through(gate, cache);
  std::thread spilling([&] { hooks_.Spill(RequestOf(300)); });
  gate.AwaitReached();
  hooks_.EndTask(kTestTask);
  std::thread unregistering([&] {
    EXPECT_EQ(hooks_.Unregister(cache.id()), ENOENT);
    EXPECT_EQ(host_.inside, 0);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  gate.Open();
  unregistering.join();
  spilling.join();
}

TEST_F(SpillHooksThreadsTest, HooksThatUnregisterEachOtherDoNotWaitForEver) {
  Cache first(host_, hooks_, "first", 300);
  Cache second(host_, hooks_, "second", 300, SpillThread::kAllocating, kTestTask + 1);
  std::atomic<int> inside{0};
  int results[2] = {-1, -1};
  const auto unregisters = [&](Cache& other, int* result) {
    return [&, result](uint64_t, uint64_t) {
      ++inside;
      Await([&] { return inside == 2; });
      *result = hooks_.Unregister(other.id());
      return uint64_t{0};
    };
  };
  first.hook = unregisters(second, &results[0]);
  second.hook = unregisters(first, &results[1]);
  std::thread other([&] {
    SpillRequest request = RequestOf(900);
    request.task = kTestTask + 1;
    hooks_.Spill(request);
  });
  hooks_.Spill(RequestOf(900));
  other.join();
  std::sort(results, results + 2);
  EXPECT_EQ(results[0], 0);
  EXPECT_EQ(results[1], EDEADLK);
  EXPECT_EQ(hooks_.Unregister(first.id()), ENOENT);
  EXPECT_EQ(hooks_.Unregister(second.id()), ENOENT);
}

// Threads that end inside a hook.

TEST_F(SpillHooksThreadsTest, AThreadThatEndsInAHookLeavesNothingBehind) {
  Cache cache(host_, hooks_, "cache", 900);
  cache.hook = [](uint64_t, uint64_t) -> uint64_t { pthread_exit(nullptr); };
  pthread_t id;
  ASSERT_EQ(pthread_create(
                &id, nullptr,
                [](void* hooks) -> void* {
                  static_cast<SpillHooks*>(hooks)->Spill(RequestOf(300));
                  ADD_FAILURE();
                  return nullptr;
                },
                &hooks_),
            0);
  pthread_join(id, nullptr);
  cache.hook = nullptr;
  const SpillResult result = hooks_.Spill(RequestOf(300));
  EXPECT_FALSE(result.has_joined);
  EXPECT_EQ(result.freed_bytes, 200u);
  EXPECT_EQ(hooks_.Unregister(cache.id()), 0);
}

TEST_F(SpillHooksThreadsTest, AReclaimerThatEndsInAHookIsReplaced) {
  Cache cache(host_, hooks_, "cache", 900, SpillThread::kReclaimer);
  cache.hook = [](uint64_t, uint64_t) -> uint64_t { pthread_exit(nullptr); };
  EXPECT_EQ(hooks_.Spill(RequestOf(300)).freed_bytes, 0u);
  EXPECT_TRUE(hooks_.RequestSoftSpill(kTestTask));
  Await([&] { return host_.soft_spills_ended == 1; });
  cache.hook = nullptr;
  EXPECT_EQ(hooks_.Spill(RequestOf(300)).freed_bytes, 200u);
  EXPECT_EQ(host_.started, 3);
}

// Forks.

TEST_F(SpillHooksThreadsTest, InAForkedChildNothingIsInFlight) {
  Gate gate;
  Cache hanging(host_, hooks_, "hanging", 300);
  hanging.hook = Through(gate, hanging);
  Cache on_reclaimer(host_, hooks_, "reclaimer's", 200, SpillThread::kReclaimer, kTestTask + 1);
  Gate reclaimer_gate;
  on_reclaimer.hook = Through(reclaimer_gate, on_reclaimer);
  SpillRequest of_other = RequestOf(700, 0, kTestTimeoutNs);
  of_other.task = kTestTask + 1;
  EXPECT_TRUE(hooks_.Spill(of_other).has_timed_out);
  std::thread spilling([&] { hooks_.Spill(RequestOf(800)); });
  gate.AwaitReached();
  ForkLocks locks;
  hooks_.AddLocks(&locks);
  locks.LockAll(kNoDeadline);
  const pid_t child = fork();
  if (child == 0) {
    hooks_.ResetInChild();
    hanging.hook = nullptr;
    on_reclaimer.hook = nullptr;
    of_other.timeout_ns = kLongNs;
    of_other.bytes = 900;
    for (const SpillRequest& request : {RequestOf(700), of_other}) {
      const SpillResult result = hooks_.Spill(request);
      if (result.has_joined || result.has_timed_out || result.freed_bytes == 0) _exit(1);
    }
    if (hooks_.Unregister(hanging.id()) != 0) _exit(2);
    if (hooks_.Unregister(on_reclaimer.id()) != 0) _exit(3);
    if (host_.charged != 100) _exit(4);
    _exit(0);
  }
  locks.UnlockAll();
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  gate.Open();
  reclaimer_gate.Open();
  spilling.join();
  Await([&] { return host_.inside == 0; });
}

TEST_F(SpillHooksThreadsTest, AHookMayFork) {
  Cache cache(host_, hooks_, "cache", 900);
  bool is_child = false;
  pid_t child = -1;
  cache.hook = [&](uint64_t bytes, uint64_t) {
    ForkLocks locks;
    hooks_.AddLocks(&locks);
    locks.LockAll(kNoDeadline);
    child = fork();
    is_child = child == 0;
    if (is_child) {
      hooks_.ResetInChild();
    } else {
      locks.UnlockAll();
    }
    return cache.Free(bytes);
  };
  const SpillResult result = hooks_.Spill(RequestOf(300));
  if (is_child) {
    cache.hook = nullptr;
    const bool is_right = result.freed_bytes == 200 && hooks_.Unregister(cache.id()) == 0;
    _exit(is_right ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(result.freed_bytes, 200u);
}

// At random.

class SpillHooksStress : public ::testing::TestWithParam<uint32_t> {};

TEST_P(SpillHooksStress, EndsWithNothingInFlight) {
  constexpr int kThreads = 6;
  constexpr int kSteps = 3000;
  constexpr int kTasks = 3;
  TestHost host;
  host.quota = 5000;
  host.refuses_each = 7;
  SpillHooks hooks(host, SystemMemory());
  std::mutex mutex;
  std::vector<std::shared_ptr<Cache>> caches;  // shared: a hook may run while it leaves
  const auto take = [&](std::mt19937& random) {
    const std::lock_guard lock(mutex);
    return caches.empty() ? nullptr : caches[random() % caches.size()];
  };
  const auto work = [&](uint32_t seed) {
    std::mt19937 random(seed);
    for (int step = 0; step < kSteps; ++step) {
      const uint32_t choice = random() % 100;
      if (choice < 25) {
        const SpillThread runs_on =
            random() % 3 == 0 ? SpillThread::kReclaimer : SpillThread::kAllocating;
        auto cache = std::make_shared<Cache>(host, hooks, "cache", random() % 400, runs_on,
                                             kTestTask + random() % kTasks);
        const std::lock_guard lock(mutex);
        caches.push_back(cache);
      } else if (choice < 45) {
        std::shared_ptr<Cache> cache;
        {
          const std::lock_guard lock(mutex);
          if (caches.empty()) continue;
          std::swap(caches[random() % caches.size()], caches.back());
          cache = caches.back();
          caches.pop_back();
        }
        const int result = hooks.Unregister(cache->id());
        EXPECT_TRUE(result == 0 || result == ENOENT);
        const int calls = cache->calls;
        cache->Free(UINT64_MAX);
        std::this_thread::yield();
        EXPECT_EQ(cache->calls, calls);
      } else if (choice < 65) {
        if (auto cache = take(random)) hooks.Report(cache->id(), random() % 500);
      } else if (choice < 97) {
        SpillRequest request = RequestOf(random() % 2000, 0, 2'000'000);
        request.task = kTestTask + random() % kTasks;
        if (auto cache = take(random)) request.trigger = cache->id();
        hooks.Spill(request);
      } else if (choice < 99) {
        hooks.RequestSoftSpill(kTestTask + random() % kTasks);
      } else {
        hooks.EndTask(kTestTask + random() % kTasks);
      }
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; ++i) threads.emplace_back(work, GetParam() * 100 + i);
  for (std::thread& thread : threads) thread.join();
  for (const auto& cache : caches) {
    const int result = hooks.Unregister(cache->id());
    EXPECT_TRUE(result == 0 || result == ENOENT);
    cache->Free(UINT64_MAX);
  }
  EXPECT_EQ(host.charged, 0u);
  EXPECT_EQ(host.inside, 0);
}

INSTANTIATE_TEST_SUITE_P(, SpillHooksStress, ::testing::Values(1, 2, 3),
                         [](const auto& info) { return "seed_" + std::to_string(info.param); });

}  // namespace
}  // namespace taskmem
