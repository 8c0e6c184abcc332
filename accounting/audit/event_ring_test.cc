#include "accounting/audit/event_ring.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

Event Numbered(uint64_t number) {
  Event event = {};
  event.time_ns = number;
  event.kind = EventKind::kRefusal;
  event.slot = static_cast<uint32_t>(number % 1000);
  event.task_id = number;
  event.bytes = 3 * number;
  event.held = 5 * number;
  event.limit = 7 * number;
  return event;
}

bool IsWhole(const Event& event) {
  return event.task_id == event.time_ns && event.bytes == 3 * event.time_ns &&
         event.held == 5 * event.time_ns && event.limit == 7 * event.time_ns;
}

TEST(EventRingTest, HasWhatWasWrittenLast) {
  const auto ring = std::make_unique<EventRing>();
  constexpr uint64_t kEvents = EventRing::kEntries + 10;
  for (uint64_t i = 0; i < kEvents; ++i) ring->Write(Numbered(i));
  Event event;
  EXPECT_EQ(EventRing::Read(ring->entries[9], 9, &event), EventRing::Found::kOverwritten);
  EXPECT_EQ(EventRing::Read(ring->entries[10], 10, &event), EventRing::Found::kComplete);
  EXPECT_EQ(event.time_ns, 10u);
  EXPECT_EQ(EventRing::Read(ring->entries[kEvents % EventRing::kEntries], kEvents, &event),
            EventRing::Found::kNotYet);
}

TEST(EventRingTest, AnEntryThatIsBeingFilledInIsLeftToItsWriter) {
  const auto ring = std::make_unique<EventRing>();
  ring->entries[0].sequence = 1;
  ring->Write(Numbered(0));
  EXPECT_EQ(ring->head, 1u);
  Event event;
  EXPECT_EQ(EventRing::Read(ring->entries[0], 0, &event), EventRing::Found::kNotYet);
}

TEST(EventRingTest, EventsOfManyThreadsAreWholeOrCounted) {
  const auto ring = std::make_unique<EventRing>();
  constexpr int kThreads = 4;
  constexpr uint64_t kEach = 50'000;
  std::atomic<int> running{kThreads};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (uint64_t i = 0; i < kEach; ++i) {
        ring->Write(Numbered(static_cast<uint64_t>(thread) * kEach + i));
      }
      --running;
    });
  }
  uint64_t read = 0;
  uint64_t overwritten = 0;
  uint64_t next = 0;
  while (running > 0 || next < ring->head) {
    const uint64_t head = ring->head;
    if (next == head) continue;
    Event event;
    switch (EventRing::Read(ring->entries[next % EventRing::kEntries], next, &event)) {
      case EventRing::Found::kComplete:
        ASSERT_TRUE(IsWhole(event)) << event.time_ns;
        ++read;
        ++next;
        break;
      case EventRing::Found::kOverwritten:
        ++overwritten;
        ++next;
        break;
      case EventRing::Found::kNotYet:
        // Dropped, or on its way.
        if (running == 0 || head - next > EventRing::kEntries / 2) {
          ++overwritten;
          ++next;
        }
        break;
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(read + overwritten, kThreads * kEach);
  EXPECT_GT(read, 0u);
}

}  // namespace
}  // namespace taskmem
