#include "shim/published/events.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>

#include "shim/base/os.h"

namespace taskmem {
namespace {

constexpr uint64_t kHour = 3'600'000'000'000;

// The segment is one for a process: every test has a process of its own.
void ExpectInChild(const std::function<bool()>& body) {
  EXPECT_EXIT(_exit(StatsOpen() && body() ? 0 : 1), testing::ExitedWithCode(0), "");
}

void Note(uint64_t bytes) { NoteEvent(EventKind::kRefusal, 5, bytes, 2, 3, kEventByQuota); }

TEST(EventsTest, NothingIsWrittenWhileNobodyRecords) {
  ExpectInChild([] {
    Note(1);
    return !IsRecorded() && g_events->head == 0;
  });
}

TEST(EventsTest, WhileSomebodyRecordsAnEventIsWhatWasNoted) {
  ExpectInChild([] {
    g_books[5].task_id = 77;
    const uint64_t before = os::MonotonicNs();
    g_stats->record_until_ns = before + kHour;
    Note(9);
    Event event = {};
    return IsRecorded() && g_stats->record_until_ns == before + kHour && g_events->head == 1 &&
           EventRing::Read(g_events->entries[0], 0, &event) == EventRing::Found::kComplete &&
           event.time_ns >= before && event.kind == EventKind::kRefusal && event.slot == 5 &&
           event.task_id == 77 && event.bytes == 9 && event.held == 2 && event.limit == 3 &&
           event.flags == kEventByQuota;
  });
}

TEST(EventsTest, WhoFindsTheTimePassedTurnsItOff) {
  ExpectInChild([] {
    g_stats->record_until_ns = os::MonotonicNs();
    const bool was_on = IsRecorded();
    Note(1);
    return was_on && !IsRecorded() && g_stats->record_until_ns == 0 && g_events->head == 0;
  });
}

// A recorder renews the time just as others find it passed: it stays on.
TEST(EventsTest, WhatARecorderRenewsMeanwhileStays) {
  ExpectInChild([] {
    const uint64_t seen = os::MonotonicNs();
    g_stats->record_until_ns = seen + kHour;
    TurnEventsOff(seen);
    const bool stays = g_stats->record_until_ns == seen + kHour;
    TurnEventsOff(seen + kHour);
    return stays && !IsRecorded();
  });
}

}  // namespace
}  // namespace taskmem
