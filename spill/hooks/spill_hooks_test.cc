// Whom a spill asks, in which order and how often; registering and unregistering.
#include "spill/hooks/spill_hooks.h"

#include <cerrno>
#include <memory>
#include <stdexcept>

#include "spill/hooks/spill_hooks_testing.h"

namespace taskmem {
namespace {

using Log = std::vector<std::string>;

TEST_F(SpillHooksTest, AsksNobodyWhereTheRequestFits) {
  Cache cache(host_, hooks_, "cache", 500);
  const SpillResult result = hooks_.Spill(RequestOf(500));
  EXPECT_EQ(result.calls, 0u);
  EXPECT_EQ(cache.calls, 0);
}

TEST_F(SpillHooksTest, AsksForWhatIsMissing) {
  Log log;
  Cache cache(host_, hooks_, "cache", 900);
  cache.log = &log;
  const SpillResult result = hooks_.Spill(RequestOf(300));
  EXPECT_EQ(log, Log({"cache 200"}));
  EXPECT_EQ(result.calls, 1u);
  EXPECT_EQ(result.asked_bytes, 200u);
  EXPECT_EQ(result.freed_bytes, 200u);
  EXPECT_FALSE(result.has_joined);
  EXPECT_FALSE(result.has_timed_out);
}

// TMM-4: the smallest that is large enough.
TEST_F(SpillHooksTest, PrefersTheSmallestThatIsLargeEnough) {
  Log log;
  Cache large(host_, hooks_, "large", 500);
  Cache enough(host_, hooks_, "enough", 250);
  Cache small(host_, hooks_, "small", 150);
  for (Cache* each : {&large, &enough, &small}) each->log = &log;
  hooks_.Spill(RequestOf(300));
  EXPECT_EQ(log, Log({"enough 200"}));
}

// TMM-4: else the largest; the keys are those of the beginning.
TEST_F(SpillHooksTest, ElseAsksTheLargestFirst) {
  Log log;
  Cache small(host_, hooks_, "small", 100);
  Cache large(host_, hooks_, "large", 500);
  Cache middle(host_, hooks_, "middle", 400);
  for (Cache* each : {&small, &large, &middle}) each->log = &log;
  hooks_.Spill(RequestOf(950));
  // What is large enough changes with what is missing, the keys do not.
  EXPECT_EQ(log, Log({"large 950", "large 450", "middle 450", "small 50"}));
}

// TMM-4: of equals, the one added last.
TEST_F(SpillHooksTest, OfEqualsAsksTheLastAdded) {
  Log log;
  Cache first(host_, hooks_, "first", 300);
  Cache second(host_, hooks_, "second", 300);
  Cache third(host_, hooks_, "third", 300);
  for (Cache* each : {&first, &second, &third}) each->log = &log;
  hooks_.Spill(RequestOf(200));
  EXPECT_EQ(log, Log({"third 100"}));
}

// TMM-3, TMM-6: the requester is asked when nobody else frees anything.
TEST_F(SpillHooksTest, AsksTheRequesterLast) {
  Log log;
  Cache requester(host_, hooks_, "requester", 600);
  Cache other(host_, hooks_, "other", 300);
  for (Cache* each : {&requester, &other}) each->log = &log;
  hooks_.Spill(RequestOf(500, requester.id()));
  EXPECT_EQ(log, Log({"other 400", "other 100", "requester 100"}));
  EXPECT_EQ(requester.last_trigger, requester.id());
  EXPECT_EQ(other.last_trigger, requester.id());
}

// TMM-5: who frees something stays, who frees nothing is not asked again.
TEST_F(SpillHooksTest, KeepsWhoFreesAndDropsWhoDoesNot) {
  Log log;
  Cache slow(host_, hooks_, "slow", 500);
  slow.step = 100;
  Cache idle(host_, hooks_, "idle", 400);
  idle.step = 0;
  for (Cache* each : {&slow, &idle}) each->log = &log;
  hooks_.Spill(RequestOf(400));
  EXPECT_EQ(log, Log({"idle 300", "slow 300", "slow 200", "slow 100"}));
}

TEST_F(SpillHooksTest, AsksOnlyConsumersOfTheModeThatUseSomething) {
  Cache cache(host_, hooks_, "cache", 900);
  Cache unused(host_, hooks_, "unused", 0);
  SpillRequest request = RequestOf(300);
  request.mode = MemoryMode::kOnHeap;
  EXPECT_EQ(hooks_.Spill(request).calls, 0u);
  request.mode = MemoryMode::kOffHeap;
  request.task = kTestTask + 1;
  EXPECT_EQ(hooks_.Spill(request).calls, 0u);
  EXPECT_EQ(hooks_.Spill(RequestOf(1100)).calls, 2u);
  EXPECT_EQ(unused.calls, 0);
}

TEST_F(SpillHooksTest, ManyConsumersAreAllAsked) {
  std::vector<std::unique_ptr<Cache>> caches;
  for (int i = 0; i < 1000; ++i) {
    caches.push_back(std::make_unique<Cache>(host_, hooks_, "cache", 1));
  }
  const SpillResult result = hooks_.Spill(RequestOf(1000));
  EXPECT_EQ(result.freed_bytes, 1000u);
  EXPECT_EQ(host_.charged, 0u);
}

// Hooks that lie.

TEST_F(SpillHooksTest, BelievesTheBooksNotTheAnswer) {
  Cache modest(host_, hooks_, "modest", 500);
  modest.hook = [&](uint64_t bytes, uint64_t) {
    modest.Free(bytes);
    return uint64_t{0};
  };
  EXPECT_EQ(hooks_.Spill(RequestOf(700)).freed_bytes, 200u);

  Cache boaster(host_, hooks_, "boaster", 400);
  boaster.hook = [](uint64_t, uint64_t) { return UINT64_MAX; };
  const SpillResult result = hooks_.Spill(RequestOf(650, modest.id()));
  EXPECT_EQ(boaster.calls, SpillHooks::kMaxFruitlessSpills);
  EXPECT_EQ(result.freed_bytes, 300u);  // modest again
  EXPECT_GT(host_.collected_everywhere, 0);
}

// SPARK-35486, bounded: what it frees is gone again.
TEST_F(SpillHooksTest, StopsWhereNothingOfWhatIsFreedArrives) {
  Cache cache(host_, hooks_, "cache", 900);
  std::vector<uint64_t> asked;
  cache.hook = [&](uint64_t bytes, uint64_t) {
    asked.push_back(bytes);
    host_.charged -= 1;  // somebody lowers the quota as well
    host_.quota -= 1;
    return uint64_t{1};
  };
  hooks_.Spill(RequestOf(300));
  EXPECT_EQ(cache.calls, SpillHooks::kMaxFruitlessSpills);
  EXPECT_EQ(asked[0], 200u);
  EXPECT_EQ(asked[3], 1600u);
  EXPECT_EQ(asked.back(), uint64_t{200} << (SpillHooks::kMaxFruitlessSpills - 1));
}

TEST_F(SpillHooksTest, AnExceptionIsNoAnswer) {
  Cache cache(host_, hooks_, "thrower", 900);
  cache.hook = [&](uint64_t, uint64_t) -> uint64_t {
    cache.Free(10);
    throw std::runtime_error("no");
  };
  const SpillResult result = hooks_.Spill(RequestOf(120));
  EXPECT_EQ(result.freed_bytes, 20u);
  EXPECT_EQ(host_.threw, Log({"thrower", "thrower"}));
  EXPECT_EQ(std::uncaught_exceptions(), 0);
}

// Inside a hook.

TEST_F(SpillHooksTest, AHookStartsNoOtherSpill) {
  Cache cache(host_, hooks_, "cache", 900);
  Cache other(host_, hooks_, "other", 100);
  SpillResult inner;
  cache.hook = [&](uint64_t bytes, uint64_t) {
    inner = hooks_.Spill(RequestOf(500));
    return cache.Free(bytes);
  };
  hooks_.Spill(RequestOf(200));
  EXPECT_EQ(inner.calls, 0u);
  EXPECT_EQ(other.calls, 0);
}

TEST_F(SpillHooksTest, AHookMayUnregisterItself) {
  Cache cache(host_, hooks_, "cache", 900);
  int result = -1;
  cache.hook = [&](uint64_t bytes, uint64_t) {
    result = hooks_.Unregister(cache.id());
    EXPECT_EQ(hooks_.Unregister(cache.id()), ENOENT);
    return cache.Free(bytes / 2);
  };
  hooks_.Spill(RequestOf(300));
  EXPECT_EQ(result, 0);
  EXPECT_EQ(cache.calls, 1);
  EXPECT_EQ(hooks_.Report(cache.id(), 5), ENOENT);
  hooks_.Spill(RequestOf(300));
  EXPECT_EQ(cache.calls, 1);
}

TEST_F(SpillHooksTest, AHookMayUnregisterAnother) {
  Cache first(host_, hooks_, "first", 400);
  Cache second(host_, hooks_, "second", 500);
  second.hook = [&](uint64_t, uint64_t) {
    EXPECT_EQ(hooks_.Unregister(first.id()), second.calls == 1 ? 0 : ENOENT);
    return second.Free(10);
  };
  hooks_.Spill(RequestOf(700));
  EXPECT_EQ(first.calls, 0);
  EXPECT_GT(second.calls, 1);
}

// Whoever is registered by a hook is asked by the next spill.
TEST_F(SpillHooksTest, AHookMayRegisterOthers) {
  Cache cache(host_, hooks_, "cache", 500);
  std::vector<std::unique_ptr<Cache>> born;
  cache.hook = [&](uint64_t, uint64_t) {
    for (int i = 0; i < 100; ++i) {
      born.push_back(std::make_unique<Cache>(host_, hooks_, "born", 1));
    }
    return cache.Free(200);
  };
  hooks_.Spill(RequestOf(501));
  ASSERT_GE(born.size(), 100u);
  EXPECT_EQ(born[0]->calls, 0);
  EXPECT_EQ(hooks_.Unregister(cache.id()), 0);
  hooks_.Spill(RequestOf(1000));
  EXPECT_GE(born[0]->calls, 1);
}

TEST_F(SpillHooksTest, AHookMayReportAndEndItsTask) {
  Cache cache(host_, hooks_, "cache", 900);
  cache.hook = [&](uint64_t bytes, uint64_t) {
    EXPECT_EQ(hooks_.Report(cache.id(), 1), 0);
    hooks_.EndTask(kTestTask);
    return cache.Free(bytes / 2);
  };
  hooks_.Spill(RequestOf(300));
  EXPECT_EQ(cache.calls, 1);
  EXPECT_EQ(hooks_.Unregister(cache.id()), ENOENT);
}

// The registry.

TEST_F(SpillHooksTest, IdsAreNeverUsedAgain) {
  const auto nothing = [](void*, uint64_t, uint64_t) { return uint64_t{0}; };
  SpillConsumerOptions options = {};
  options.task = kTestTask;
  options.spill = nothing;
  std::vector<uint64_t> ids;
  for (int i = 0; i < 1000; ++i) {
    uint64_t id = 0;
    ASSERT_EQ(hooks_.Register(options, &id), 0);
    ASSERT_NE(id, 0u);
    ids.push_back(id);
    if (i % 3 != 0) {
      ASSERT_EQ(hooks_.Unregister(id), 0);
    }
  }
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
  EXPECT_EQ(hooks_.Unregister(0), ENOENT);
  EXPECT_EQ(hooks_.Unregister(UINT64_MAX), ENOENT);
  options.spill = nullptr;
  EXPECT_EQ(hooks_.Register(options, &ids[0]), EINVAL);
}

TEST_F(SpillHooksTest, ReportsOfGoneConsumersReachNobody) {
  auto old = std::make_unique<Cache>(host_, hooks_, "old", 1);
  const uint64_t old_id = old->id();
  EXPECT_EQ(hooks_.Unregister(old_id), 0);
  Cache next(host_, hooks_, "next", 5);
  EXPECT_EQ(hooks_.Report(old_id, 1000), ENOENT);
  uint64_t used = 0;
  EXPECT_EQ(hooks_.ReadUsed(next.id(), &used), 0);
  EXPECT_EQ(used, 5u);
  EXPECT_EQ(hooks_.Report(next.id(), UINT64_MAX), 0);
  EXPECT_EQ(hooks_.ReadUsed(next.id(), &used), 0);
  EXPECT_EQ(used, kMaxUsedBytes);
  EXPECT_EQ(hooks_.ReadUsed(old_id, &used), ENOENT);
}

TEST_F(SpillHooksTest, ATasksEndUnregisters) {
  Cache cache(host_, hooks_, "cache", 900);
  Cache of_other(host_, hooks_, "of another task", 50, SpillThread::kAllocating, kTestTask + 1);
  hooks_.EndTask(kTestTask);
  EXPECT_EQ(hooks_.Spill(RequestOf(300)).calls, 0u);
  EXPECT_EQ(hooks_.Unregister(cache.id()), ENOENT);
  EXPECT_EQ(hooks_.Unregister(of_other.id()), 0);
}

TEST(SpillHooksMemoryTest, WithoutMemoryARegistrationFails) {
  TestHost host;
  const MemorySource none = {[](size_t, void*) -> void* { return nullptr; }, [](void*, void*) {},
                             nullptr};
  SpillHooks hooks(host, none);
  SpillConsumerOptions options = {};
  options.spill = [](void*, uint64_t, uint64_t) { return uint64_t{0}; };
  uint64_t id = 0;
  EXPECT_EQ(hooks.Register(options, &id), ENOMEM);
  EXPECT_EQ(hooks.Spill(RequestOf(2000)).calls, 0u);
}

}  // namespace
}  // namespace taskmem
