#include "accounting/spark/unmanaged_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

constexpr MemoryMode kOn = MemoryMode::kOnHeap;
constexpr MemoryMode kOff = MemoryMode::kOffHeap;

class Lines : public MemoryLog {
 public:
  void Write(LogLevel level, const char* text) override {
    const char* const names[] = {"DEBUG ", "INFO ", "WARN ", "ERROR "};
    lines_.push_back(std::string(names[static_cast<int>(level)]) + text);
  }
  // Those since the last call, sorted.
  std::vector<std::string> Take() {
    std::vector<std::string> lines;
    lines.swap(lines_);
    std::sort(lines.begin(), lines.end());
    return lines;
  }

 private:
  std::vector<std::string> lines_;
};

class Consumer : public UnmanagedMemoryConsumer {
 public:
  Consumer(const char* type, const char* key, MemoryMode mode, int64_t bytes)
      : UnmanagedMemoryConsumer(type, key, mode), bytes(bytes) {}
  int64_t GetMemBytesUsed() override { return bytes; }
  const char* failure_text() const override { return "java.lang.IllegalStateException: no value"; }

  std::atomic<int64_t> bytes;
};

class CallingConsumer : public UnmanagedMemoryConsumer {
 public:
  CallingConsumer(const char* type, const char* key, std::function<int64_t()> call)
      : UnmanagedMemoryConsumer(type, key, kOn), call_(std::move(call)) {}
  int64_t GetMemBytesUsed() override { return call_(); }

 private:
  const std::function<int64_t()> call_;
};

using Strings = std::vector<std::string>;

void ExpectTotals(const UnmanagedMemoryRegistry& registry, int64_t on_heap, int64_t off_heap) {
  EXPECT_EQ(registry.totals().Get(kOn), on_heap);
  EXPECT_EQ(registry.totals().Get(kOff), off_heap);
  EXPECT_EQ(registry.GetUnmanagedMemoryUsed(), on_heap + off_heap);
}

TEST(UnmanagedMemory, IsNoneAtFirst) {
  Lines log;
  UnmanagedMemoryRegistry registry(&log);
  ExpectTotals(registry, 0, 0);
  registry.Poll();
  EXPECT_EQ(log.Take(),
            (Strings{"DEBUG Unmanaged memory polling completed: 0 consumers, total memory used: 0 "
                     "bytes (on-heap: 0, off-heap: 0)"}));
  EXPECT_EQ(registry.GetMemoryByComponentType("A"), 0);
}

TEST(UnmanagedMemory, U13Registration) {
  UnmanagedMemoryRegistry registry;
  Consumer a("Test", "i1", kOn, 100);
  Consumer b("Test", "i2", kOn, 200);
  registry.Register(a);
  registry.Register(b);
  EXPECT_EQ(registry.GetMemoryByComponentType("Test"), 300);
  EXPECT_EQ(registry.GetMemoryByComponentType("Tes"), 0);
  registry.Unregister(a);
  EXPECT_EQ(registry.GetMemoryByComponentType("Test"), 200);
  registry.Unregister(b);
  EXPECT_EQ(registry.GetMemoryByComponentType("Test"), 0);
  ExpectTotals(registry, 0, 0);  // no poll yet
}

TEST(UnmanagedMemory, U14AutomaticRemoval) {
  Lines log;
  UnmanagedMemoryRegistry registry(&log);
  Consumer a("Test", "i1", kOn, 100);
  Consumer b("Test", "i2", kOn, 200);
  registry.Register(a);
  registry.Register(b);
  registry.Poll();
  ExpectTotals(registry, 300, 0);
  log.Take();

  a.bytes = UnmanagedMemoryConsumer::kGone;
  EXPECT_EQ(registry.GetMemoryByComponentType("Test"), 199);
  registry.Poll();
  EXPECT_EQ(log.Take(),
            (Strings{"DEBUG Unmanaged memory polling completed: 1 consumers, total memory used: "
                     "200 bytes (on-heap: 200, off-heap: 0)",
                     "INFO Removed inactive unmanaged memory consumer "
                     "UnmanagedMemoryConsumerId(Test,i1)"}));
  EXPECT_EQ(registry.GetMemoryByComponentType("Test"), 200);
  ExpectTotals(registry, 200, 0);

  b.bytes = UnmanagedMemoryConsumer::kGone;
  registry.Poll();
  EXPECT_EQ(registry.GetMemoryByComponentType("Test"), 0);
  ExpectTotals(registry, 0, 0);
  registry.Unregister(a);
  registry.Unregister(b);
}

TEST(UnmanagedMemory, Unm4KeepsModesApart) {
  Lines log;
  UnmanagedMemoryRegistry registry(&log);
  Consumer a("A", "k", kOn, 100);
  Consumer b("A", "k2", kOff, 50);
  registry.Register(a);
  registry.Register(b);
  registry.Poll();
  EXPECT_EQ(log.Take(),
            (Strings{"DEBUG Unmanaged memory polling completed: 2 consumers, total memory used: "
                     "150 bytes (on-heap: 100, off-heap: 50)"}));
  ExpectTotals(registry, 100, 50);
}

TEST(UnmanagedMemory, Unm4InvalidValuesAndFailuresCountZero) {
  Lines log;
  UnmanagedMemoryRegistry registry(&log);
  Consumer a("Native", "k1", kOn, -5);
  Consumer b("A", "k1", kOff, UnmanagedMemoryConsumer::kFailed);
  registry.Register(a);
  registry.Register(b);
  registry.Poll();
  EXPECT_EQ(log.Take(),
            (Strings{"DEBUG Unmanaged memory polling completed: 2 consumers, total memory used: 0 "
                     "bytes (on-heap: 0, off-heap: 0)",
                     "WARN Failed to get memory usage for unmanaged memory user "
                     "UnmanagedMemoryConsumerId(A,k1) java.lang.IllegalStateException: no value",
                     "WARN Invalid memory usage value -5 from unmanaged memory user "
                     "UnmanagedMemoryConsumerId(Native,k1)"}));
  ExpectTotals(registry, 0, 0);
  EXPECT_EQ(registry.GetMemoryByComponentType("Native"), -5);  // as it is
  EXPECT_EQ(registry.GetMemoryByComponentType("A"), 0);
  a.bytes = 70;
  b.bytes = 30;
  registry.Poll();
  ExpectTotals(registry, 70, 30);
}

TEST(UnmanagedMemory, Unm8TotalsStayUntilTheNextPoll) {
  UnmanagedMemoryRegistry registry;
  Consumer a("A", "k", kOn, 70);
  registry.Register(a);
  registry.Poll();
  a.bytes = 80;
  ExpectTotals(registry, 70, 0);
  registry.Unregister(a);
  ExpectTotals(registry, 70, 0);
  registry.Poll();
  ExpectTotals(registry, 0, 0);
}

TEST(UnmanagedMemory, Unm8ClearForgetsAll) {
  UnmanagedMemoryRegistry registry;
  Consumer a("A", "k", kOn, 70);
  Consumer b("A", "k2", kOff, 30);
  registry.Register(a);
  registry.Register(b);
  registry.Poll();
  registry.Clear();
  ExpectTotals(registry, 0, 0);
  EXPECT_EQ(registry.GetMemoryByComponentType("A"), 0);
  registry.Register(b);  // may come back
  EXPECT_EQ(registry.GetMemoryByComponentType("A"), 30);
}

TEST(UnmanagedMemory, Unm2TheSameNamesReplace) {
  UnmanagedMemoryRegistry registry;
  Consumer a("A", "k", kOn, 70);
  Consumer other_key("A", "k2", kOn, 1000);
  Consumer other_type("B", "k", kOff, 500);
  Consumer b("A", "k", kOff, 11);
  registry.Register(a);
  registry.Register(other_key);
  registry.Register(other_type);
  registry.Register(b);
  registry.Poll();
  ExpectTotals(registry, 1000, 511);
  registry.Register(b);  // once more changes nothing
  registry.Poll();
  ExpectTotals(registry, 1000, 511);
}

// Spark keeps them by id and removes by id.
TEST(UnmanagedMemory, Unm2UnregisteringTheReplacedRemovesItsReplacement) {
  UnmanagedMemoryRegistry registry;
  Consumer a("A", "k", kOn, 70);
  Consumer b("A", "k", kOn, 11);
  registry.Register(a);
  registry.Register(b);
  registry.Unregister(a);
  EXPECT_EQ(registry.GetMemoryByComponentType("A"), 0);
  registry.Unregister(b);  // unknown by now
  registry.Register(a);
  EXPECT_EQ(registry.GetMemoryByComponentType("A"), 70);
}

TEST(UnmanagedMemory, SumsDoNotOverflow) {
  UnmanagedMemoryRegistry registry;
  Consumer a("A", "1", kOn, INT64_MAX);
  Consumer b("A", "2", kOn, INT64_MAX);
  Consumer c("A", "3", kOff, 1);
  registry.Register(a);
  registry.Register(b);
  registry.Register(c);
  registry.Poll();
  EXPECT_EQ(registry.totals().Get(kOn), INT64_MAX);
  EXPECT_EQ(registry.GetUnmanagedMemoryUsed(), INT64_MAX);
  EXPECT_EQ(registry.GetMemoryByComponentType("A"), INT64_MAX);
}

TEST(UnmanagedMemory, CutsLongNames) {
  Lines log;
  UnmanagedMemoryRegistry registry(&log);
  const std::string type(1000, 't');
  Consumer a(type.c_str(), "k", kOn, -3);
  registry.Register(a);
  registry.Poll();
  const Strings lines = log.Take();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_LT(lines[1].size(), 512u);
}

// A consumer may use the registry, and so may a log: neither is called under the lock.
TEST(UnmanagedMemory, IsNotLockedWhileOthersAreCalled) {
  class RegisteringLog : public MemoryLog {
   public:
    void Write(LogLevel, const char*) override { seen = registry->GetMemoryByComponentType("A"); }
    UnmanagedMemoryRegistry* registry = nullptr;
    int64_t seen = 0;
  } log;
  UnmanagedMemoryRegistry registry(&log);
  log.registry = &registry;
  Consumer a("A", "k", kOn, 70);
  Consumer late("A", "late", kOn, 5);
  CallingConsumer caller("B", "k", [&] {
    registry.Register(late);
    return registry.GetMemoryByComponentType("A");
  });
  registry.Register(a);
  registry.Register(caller);
  registry.Poll();
  EXPECT_EQ(log.seen, 75);
  ExpectTotals(registry, 145, 0);  // `late` came too late for this poll
  registry.Poll();
  ExpectTotals(registry, 150, 0);
}

TEST(UnmanagedMemory, GoesOnWhereTheNextConsumerIsRemoved) {
  UnmanagedMemoryRegistry registry;
  auto doomed = std::make_unique<Consumer>("A", "doomed", kOn, 1000);
  Consumer last("A", "last", kOn, 7);
  CallingConsumer first("A", "first", [&] {
    if (doomed != nullptr) registry.Unregister(*doomed);
    doomed = nullptr;
    return 1;
  });
  registry.Register(first);
  registry.Register(*doomed);
  registry.Register(last);
  registry.Poll();
  ExpectTotals(registry, 8, 0);
}

TEST(UnmanagedMemory, GoesOnWhereTheNextConsumerIsReplaced) {
  UnmanagedMemoryRegistry registry;
  Consumer old("A", "k", kOn, 1000);
  Consumer renewed("A", "k", kOff, 30);
  Consumer last("A", "last", kOn, 7);
  CallingConsumer first("A", "first", [&] {
    registry.Register(renewed);
    return 1;
  });
  registry.Register(first);
  registry.Register(old);
  registry.Register(last);
  registry.Poll();
  ExpectTotals(registry, 8, 30);
}

TEST(UnmanagedMemory, AConsumerMayDestroyItselfWhenAsked) {
  Lines log;
  for (const int64_t answer : {int64_t{9}, UnmanagedMemoryConsumer::kGone,
                               UnmanagedMemoryConsumer::kFailed, int64_t{-4}}) {
    UnmanagedMemoryRegistry registry(&log);
    std::unique_ptr<CallingConsumer> self;
    Consumer last("A", "last", kOn, 7);
    self = std::make_unique<CallingConsumer>("A", "self", [&registry, &self, answer] {
      const int64_t kept = answer;
      UnmanagedMemoryRegistry& kept_registry = registry;
      std::unique_ptr<CallingConsumer>& kept_self = self;
      kept_registry.Unregister(*kept_self);
      kept_self.reset();
      return kept;
    });
    registry.Register(*self);
    registry.Register(last);
    registry.Poll();
    ExpectTotals(registry, 7 + std::max<int64_t>(answer, 0), 0);
    EXPECT_EQ(log.Take().size(), 1u) << answer;
  }
}

TEST(UnmanagedMemory, ClearFromInsideEndsAPoll) {
  UnmanagedMemoryRegistry registry;
  Consumer last("A", "last", kOn, 7);
  CallingConsumer first("A", "first", [&] {
    registry.Clear();
    return 5;
  });
  registry.Register(first);
  registry.Register(last);
  registry.Poll();
  ExpectTotals(registry, 5, 0);
  registry.Poll();
  ExpectTotals(registry, 0, 0);
}

TEST(UnmanagedMemory, UnregisterWaitsForThoseInside) {
  UnmanagedMemoryRegistry registry;
  std::atomic<int> asked = 0;
  std::atomic<bool> may_leave = false;
  std::atomic<bool> is_leaving = false;
  CallingConsumer consumer("A", "k", [&] {
    if (asked.fetch_add(1) > 0) return 1;
    may_leave.wait(false);
    is_leaving = true;
    return 1;
  });
  registry.Register(consumer);
  std::thread poller([&] { registry.Poll(); });
  while (asked == 0) std::this_thread::yield();
  std::thread leaver([&] {
    registry.Unregister(consumer);
    EXPECT_TRUE(is_leaving);
  });
  while (registry.GetMemoryByComponentType("A") != 0) std::this_thread::yield();
  EXPECT_FALSE(is_leaving);
  may_leave = true;
  may_leave.notify_all();
  leaver.join();
  poller.join();
}

// Also where another took its place: its owner may be about to destroy it.
TEST(UnmanagedMemory, UnregisterWaitsForThoseInsideAReplacedConsumer) {
  UnmanagedMemoryRegistry registry;
  std::atomic<bool> is_inside = false;
  std::atomic<bool> may_leave = false;
  std::atomic<bool> is_leaving = false;
  CallingConsumer old("A", "k", [&] {
    is_inside = true;
    may_leave.wait(false);
    is_leaving = true;
    return 1;
  });
  Consumer renewed("A", "k", kOn, 2);
  registry.Register(old);
  std::thread poller([&] { registry.Poll(); });
  while (!is_inside) std::this_thread::yield();
  registry.Register(renewed);
  std::thread leaver([&] {
    registry.Unregister(old);
    EXPECT_TRUE(is_leaving);
  });
  while (registry.GetMemoryByComponentType("A") != 0) std::this_thread::yield();
  may_leave = true;
  may_leave.notify_all();
  leaver.join();
  poller.join();
}

TEST(UnmanagedMemory, ForgetsVisitorsAfterAFork) {
  UnmanagedMemoryRegistry registry;
  std::atomic<bool> is_inside = false;
  std::atomic<bool> may_leave = false;
  CallingConsumer consumer("A", "k", [&] {
    is_inside = true;
    may_leave.wait(false);
    return 1;
  });
  registry.Register(consumer);
  std::thread poller([&] { registry.Poll(); });
  while (!is_inside) std::this_thread::yield();
  // What fork would leave of the registry: the thread is inside, and does not exist.
  alignas(UnmanagedMemoryRegistry) unsigned char copy[sizeof(UnmanagedMemoryRegistry)];
  memcpy(copy, static_cast<void*>(&registry), sizeof(copy));
  auto* const child = reinterpret_cast<UnmanagedMemoryRegistry*>(copy);
  child->ResetAfterFork();
  child->Unregister(consumer);  // returns
  EXPECT_EQ(child->GetMemoryByComponentType("A"), 0);
  may_leave = true;
  may_leave.notify_all();
  poller.join();
}

TEST(UnmanagedMemory, ManyThreadsComeAndGo) {
  constexpr int kOwners = 3;
  constexpr int kRounds = 3000;
  const uint64_t seed = std::random_device()();
  RecordProperty("seed", std::to_string(seed));
  UnmanagedMemoryRegistry registry;
  std::atomic<bool> stop = false;
  std::vector<std::thread> askers;
  askers.emplace_back([&] {
    while (!stop) registry.Poll();
  });
  askers.emplace_back([&] {
    while (!stop) EXPECT_GE(registry.GetMemoryByComponentType("A"), -kOwners);
  });
  std::vector<std::thread> owners;
  for (int i = 0; i < kOwners; ++i) {
    owners.emplace_back([&, i] {
      std::mt19937_64 random(seed + static_cast<uint64_t>(i));
      const char* const keys[] = {"k0", "k1", "k2", "k3"};
      for (int round = 0; round < kRounds; ++round) {
        auto consumer = std::make_unique<Consumer>("A", keys[random() % 4],
                                                   random() % 2 ? kOn : kOff, random() % 100);
        registry.Register(*consumer);
        if (random() % 4 == 0) consumer->bytes = UnmanagedMemoryConsumer::kGone;
        registry.Unregister(*consumer);
      }
    });
  }
  for (std::thread& owner : owners) owner.join();
  stop = true;
  for (std::thread& asker : askers) asker.join();
  registry.Clear();
  registry.Poll();
  ExpectTotals(registry, 0, 0);
}

}  // namespace
}  // namespace taskmem
