#include "tools/recording/event_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "accounting/audit/stats_layout.h"

namespace taskmem {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// A stats file as a process has it mapped.
class EventSourceTest : public ::testing::Test {
 protected:
  EventSourceTest() {
    const std::string path = ::testing::TempDir() + "event_source_test." + std::to_string(getpid());
    fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_EQ(ftruncate(fd_, kStatsBytes), 0);
    unlink(path.c_str());
    segment_ =
        static_cast<char*>(mmap(nullptr, kStatsBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
    EXPECT_NE(segment_, MAP_FAILED);
  }
  ~EventSourceTest() override {
    munmap(segment_, kStatsBytes);
    close(fd_);
  }

  EventRing& Ring() { return *reinterpret_cast<EventRing*>(segment_ + kEventsOffset); }
  uint64_t RecordUntil() { return reinterpret_cast<StatsHeader*>(segment_)->record_until_ns; }
  void Write() {
    Event event = {};
    event.kind = EventKind::kRefusal;
    event.time_ns = ++written_;
    Ring().Write(event);
  }
  // As a thread that has lost its processor while it filled in the entry of that number.
  void Claim(uint64_t number) {
    Ring().entries[number % EventRing::kEntries].sequence = 2 * number + 1;
  }
  static size_t Count(EventSource* source, bool is_last, uint64_t now_ns = kSecond) {
    std::vector<Event> events;
    source->Read(now_ns, is_last, &events);
    return events.size();
  }

  int fd_ = -1;
  uint64_t written_ = 0;
  char* segment_ = nullptr;
};

TEST_F(EventSourceTest, EachEventIsReadOrCountedOnce) {
  Write();
  EventSource source(fd_);
  ASSERT_TRUE(source.is_on());
  EXPECT_EQ(Count(&source, false), 0u) << "of before";
  for (int i = 0; i < 10; ++i) Write();
  EXPECT_EQ(Count(&source, false), 10u);
  EXPECT_EQ(source.lost(), 0u);
  for (uint32_t i = 0; i < EventRing::kEntries + 100; ++i) Write();
  EXPECT_EQ(Count(&source, false), EventRing::kEntries);
  EXPECT_EQ(source.lost(), 100u);
}

// Two writers meet in one entry, a lap apart: the later gives its event up.
TEST_F(EventSourceTest, WhatFoundNoEntryIsCountedOnce) {
  EventSource source(fd_);
  for (uint32_t i = 0; i < EventRing::kEntries; ++i) Write();
  Claim(3);
  EXPECT_EQ(Count(&source, true), EventRing::kEntries - 1);
  EXPECT_EQ(source.lost(), 1u);
  for (uint32_t i = 0; i < 2 * EventRing::kEntries; ++i) Write();
  EXPECT_EQ(Count(&source, true), EventRing::kEntries - 1);
  EXPECT_EQ(source.lost(), 2u + EventRing::kEntries);
}

TEST_F(EventSourceTest, AWriterIsWaitedForAndTheLastReadHasWhatComesBehindIt) {
  EventSource source(fd_);
  Write();
  Claim(1);
  ++Ring().head;
  Write();
  EXPECT_EQ(Count(&source, false), 1u);
  EXPECT_EQ(Count(&source, false, kSecond + 1), 0u) << "it may come yet";
  EXPECT_EQ(Count(&source, true, kSecond + 2), 1u);
  EXPECT_EQ(source.lost(), 1u);
}

TEST_F(EventSourceTest, AWriterThatNeverComesIsGivenUp) {
  EventSource source(fd_);
  Claim(0);
  ++Ring().head;
  Write();
  EXPECT_EQ(Count(&source, false), 0u);
  EXPECT_EQ(Count(&source, false, 2 * kSecond), 1u);
  EXPECT_EQ(source.lost(), 1u);
}

TEST_F(EventSourceTest, WhoEndsDoesNotEndTheOthers) {
  EventSource stays(fd_);
  { const EventSource ends(fd_); }
  EXPECT_NE(RecordUntil(), 0u);
  Write();
  EXPECT_EQ(Count(&stays, false), 1u);
}

}  // namespace
}  // namespace taskmem
