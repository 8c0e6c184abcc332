#include "tools/recording/event_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <ctime>

#include "accounting/audit/stats_layout.h"

namespace taskmem {
namespace {

constexpr uint64_t kOnForNs = 10'000'000'000;
constexpr uint64_t kRenewAfterNs = 2'000'000'000;

uint64_t MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

bool ReadAt(int fd, uint64_t offset, void* to, size_t bytes) {
  return pread(fd, to, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes);
}

bool SetUntil(int fd, uint64_t until_ns) {
  return pwrite(fd, &until_ns, sizeof(until_ns), offsetof(StatsHeader, record_until_ns)) ==
         static_cast<ssize_t>(sizeof(until_ns));
}

struct Head {
  uint64_t head = 0;
  uint64_t dropped = 0;
};

bool ReadHead(int fd, Head* head) {
  static_assert(offsetof(EventRing, head) == 0 && offsetof(EventRing, dropped) == 8);
  return ReadAt(fd, kEventsOffset, head, sizeof(*head));
}

}  // namespace

EventSource::EventSource(int fd) : fd_(fd) {
  // A file system that cannot reserve has no holes that a process could fall into.
  int result;
  do {
    result = fallocate(fd, 0, static_cast<off_t>(kEventsOffset), sizeof(EventRing));
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EOPNOTSUPP) return;
  Head head;
  if (!ReadHead(fd, &head)) return;
  next_ = head.head;
  first_dropped_ = head.dropped;
  renewed_ns_ = MonotonicNow();
  is_on_ = SetUntil(fd, renewed_ns_ + kOnForNs);
}

EventSource::~EventSource() {
  if (is_on_) SetUntil(fd_, 0);
}

void EventSource::Renew(uint64_t now_ns) {
  if (!is_on_ || now_ns < renewed_ns_ + kRenewAfterNs) return;
  renewed_ns_ = now_ns;
  SetUntil(fd_, now_ns + kOnForNs);
}

void EventSource::Read(uint64_t now_ns, std::vector<Event>* events) {
  if (!is_on_) return;
  Renew(now_ns);
  Head head;
  if (!ReadHead(fd_, &head)) return;
  dropped_ = std::max(dropped_, head.dropped - std::min(head.dropped, first_dropped_));
  if (head.head < next_) next_ = head.head;  // somebody has written there
  if (head.head - next_ > EventRing::kEntries) {
    lost_ += head.head - next_ - EventRing::kEntries;
    next_ = head.head - EventRing::kEntries;
    waiting_since_ns_ = 0;
  }
  const size_t before = events->size();
  while (next_ < head.head) {
    // As far as the ring's end.
    const uint64_t place = next_ % EventRing::kEntries;
    const uint64_t from = next_;
    ReadEntries(from, std::min(head.head, from + EventRing::kEntries - place), now_ns, events);
    if (waiting_since_ns_ != 0) break;
  }
  std::stable_sort(events->begin() + static_cast<ptrdiff_t>(before), events->end(),
                   [](const Event& a, const Event& b) { return a.time_ns < b.time_ns; });
}

void EventSource::ReadEntries(uint64_t from, uint64_t to, uint64_t now_ns,
                              std::vector<Event>* events) {
  // Who fills an entry in may lose its processor meanwhile, or never come back.
  constexpr uint64_t kPatienceNs = 100'000'000;
  std::vector<EventEntry> before(to - from);
  std::vector<EventEntry> after(to - from);
  const uint64_t offset = kEventsOffset + offsetof(EventRing, entries) +
                          from % EventRing::kEntries * sizeof(EventEntry);
  if (!ReadAt(fd_, offset, before.data(), before.size() * sizeof(EventEntry)) ||
      !ReadAt(fd_, offset, after.data(), after.size() * sizeof(EventEntry))) {
    next_ = to;
    return;
  }
  for (uint64_t number = from; number < to; ++number) {
    Event event;
    auto found = EventRing::Read(before[number - from], number, &event);
    // What was copied may be of two writers: then the second copy differs.
    if (found == EventRing::Found::kComplete &&
        after[number - from].sequence != before[number - from].sequence) {
      found = EventRing::Found::kOverwritten;
    }
    if (found == EventRing::Found::kNotYet) {
      if (waiting_since_ns_ == 0) waiting_since_ns_ = now_ns;
      if (now_ns - waiting_since_ns_ < kPatienceNs) return;
      // One that was dropped is counted by its writer.
    }
    waiting_since_ns_ = 0;
    next_ = number + 1;
    if (found == EventRing::Found::kOverwritten) ++lost_;
    if (found != EventRing::Found::kComplete) continue;
    const auto kind = static_cast<uint32_t>(event.kind);
    if (kind == 0 || kind > kEventKinds || event.slot >= kMaxTaskSlots) continue;
    events->push_back(event);
  }
}

}  // namespace taskmem
