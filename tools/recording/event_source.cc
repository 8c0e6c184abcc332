#include "tools/recording/event_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "accounting/audit/stats_layout.h"
#include "accounting/base/monotonic_ns.h"

namespace taskmem {
namespace {

constexpr uint64_t kOnForNs = 10'000'000'000;
constexpr uint64_t kRenewAfterNs = 2'000'000'000;

uint64_t NowNs() { return static_cast<uint64_t>(MonotonicNs()); }

bool ReadAt(int fd, uint64_t offset, void* to, size_t bytes) {
  return pread(fd, to, bytes, static_cast<off_t>(offset)) == static_cast<ssize_t>(bytes);
}

bool SetUntil(int fd, uint64_t until_ns) {
  return pwrite(fd, &until_ns, sizeof(until_ns), offsetof(StatsHeader, record_until_ns)) ==
         static_cast<ssize_t>(sizeof(until_ns));
}

bool ReadHead(int fd, uint64_t* head) {
  return ReadAt(fd, kEventsOffset + offsetof(EventRing, head), head, sizeof(*head));
}

}  // namespace

EventSource::EventSource(int fd) : fd_(fd) {
  // A file system that cannot reserve has no holes that a process could fall into.
  int result;
  do {
    result = fallocate(fd, 0, static_cast<off_t>(kEventsOffset), sizeof(EventRing));
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EOPNOTSUPP) return;
  if (!ReadHead(fd, &next_)) return;
  renewed_ns_ = NowNs();
  is_on_ = SetUntil(fd, renewed_ns_ + kOnForNs);
}

void EventSource::Renew(uint64_t now_ns) {
  if (!is_on_ || now_ns < renewed_ns_ + kRenewAfterNs) return;
  renewed_ns_ = now_ns;
  SetUntil(fd_, now_ns + kOnForNs);
}

void EventSource::Read(uint64_t now_ns, bool is_last, std::vector<Event>* events) {
  if (!is_on_) return;
  Renew(now_ns);
  uint64_t head = 0;
  if (!ReadHead(fd_, &head)) return;
  if (head < next_) next_ = head;  // somebody has written there
  if (head - next_ > EventRing::kEntries) {
    lost_ += head - next_ - EventRing::kEntries;
    next_ = head - EventRing::kEntries;
    waiting_since_ns_ = 0;
  }
  const auto before = static_cast<ptrdiff_t>(events->size());
  while (next_ < head) {
    // As far as the ring's end.
    const uint64_t left = EventRing::kEntries - next_ % EventRing::kEntries;
    if (!ReadEntries(next_, std::min(head, next_ + left), now_ns, is_last, events)) break;
  }
  std::stable_sort(events->begin() + before, events->end(),
                   [](const Event& a, const Event& b) { return a.time_ns < b.time_ns; });
}

bool EventSource::ReadEntries(uint64_t from, uint64_t to, uint64_t now_ns, bool is_last,
                              std::vector<Event>* events) {
  // Who fills an entry in may lose its processor meanwhile, or never come back.
  constexpr uint64_t kPatienceNs = 100'000'000;
  std::vector<EventEntry> before(to - from);
  std::vector<EventEntry> after(to - from);
  const uint64_t offset = kEventsOffset + offsetof(EventRing, entries) +
                          from % EventRing::kEntries * sizeof(EventEntry);
  if (!ReadAt(fd_, offset, before.data(), before.size() * sizeof(EventEntry)) ||
      !ReadAt(fd_, offset, after.data(), after.size() * sizeof(EventEntry))) {
    lost_ += to - from;
    next_ = to;
    return true;
  }
  for (uint64_t number = from; number < to; ++number) {
    Event event = {};
    auto found = EventRing::Read(before[number - from], number, &event);
    // What was copied may be of two writers: then the second copy differs.
    if (found == EventRing::Found::kComplete &&
        after[number - from].sequence != before[number - from].sequence) {
      found = EventRing::Found::kOverwritten;
    }
    if (found == EventRing::Found::kNotYet && !is_last) {
      if (waiting_since_ns_ == 0) waiting_since_ns_ = now_ns;
      if (now_ns - waiting_since_ns_ < kPatienceNs) return false;
    }
    waiting_since_ns_ = 0;
    next_ = number + 1;
    const auto kind = static_cast<uint32_t>(event.kind);
    if (found != EventRing::Found::kComplete || kind == 0 || kind > kEventKinds ||
        event.slot >= kMaxTaskSlots) {
      ++lost_;
      continue;
    }
    events->push_back(event);
  }
  return true;
}

}  // namespace taskmem
