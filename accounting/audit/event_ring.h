// What happened when: events of a process in its stats segment, for a recorder in another process
// (tools/recording).
//
//   on       while the clock is before StatsHeader::record_until_ns, which recorders renew, and do
//            not take back: there may be several. Who writes finds it passed, and turns it off
//   write    `head` counts up, and the entry of that number is claimed, filled in and completed;
//            an entry that another thread is still filling in is left to it: then there is none of
//            that number
//   read     entries are read by number; one that is newer than was expected has overwritten it
//
// Lock-free, bounded and callable from anywhere, signal handlers too. Before the recorder turns it
// on it gives the ring's part of the file space: writing never meets a hole.
#ifndef TASKMEM_ACCOUNTING_AUDIT_EVENT_RING_H_
#define TASKMEM_ACCOUNTING_AUDIT_EVENT_RING_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace taskmem {

enum class EventKind : uint32_t {
  kTaskBegin = 1,  // limit: its quota
  kTaskEnd = 2,    // bytes: its peak; held: what it leaves behind
  kRefusal = 3,    // bytes: asked for; held: by the task; limit: what refused
  kSpill = 4,      // bytes: asked of a hook; held: freed
  kWait = 5,       // bytes: acquired; duration_ns
  kStall = 6,      // bytes: needed; duration_ns: until there was room, or none could be made
};
inline constexpr uint32_t kEventKinds = 6;

// Flags of events.
inline constexpr uint32_t kEventByQuota = 1;  // of a refusal: else by --memory
inline constexpr uint32_t kEventSoft = 2;     // of a spill: at --soft-limit

struct Event {
  uint64_t time_ns;  // CLOCK_MONOTONIC
  EventKind kind;
  uint32_t slot;
  uint32_t flags;
  uint32_t reserved;
  uint64_t task_id;
  uint64_t bytes;
  uint64_t held;
  union {
    uint64_t limit;
    uint64_t duration_ns;
  };
};

struct EventEntry {
  // 2 n + 1: entry n is being filled in; 2 n + 2: it is complete.
  std::atomic<uint64_t> sequence;
  std::atomic<uint64_t> words[sizeof(Event) / sizeof(uint64_t)];
};
static_assert(sizeof(EventEntry) == 64);

struct EventRing {
  static constexpr uint32_t kEntries = 8192;

  std::atomic<uint64_t> head;  // entries ever begun
  uint64_t reserved[7];
  EventEntry entries[kEntries];

  void Write(const Event& event) {
    const uint64_t number = head.fetch_add(1, std::memory_order_relaxed);
    EventEntry& entry = entries[number % kEntries];
    uint64_t seen = entry.sequence.load(std::memory_order_relaxed);
    if (seen % 2 != 0 || seen > 2 * number ||
        !entry.sequence.compare_exchange_strong(seen, 2 * number + 1, std::memory_order_acquire)) {
      return;
    }
    std::atomic_thread_fence(std::memory_order_release);
    uint64_t words[sizeof(Event) / sizeof(uint64_t)];
    __builtin_memcpy(words, &event, sizeof(event));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); ++i) {
      entry.words[i].store(words[i], std::memory_order_relaxed);
    }
    entry.sequence.store(2 * number + 2, std::memory_order_release);
  }

  enum class Found { kComplete, kNotYet, kOverwritten };
  // Entry `number`, of a ring or of a copy of the entry that was made while others wrote: a copy
  // counts where its sequence was the same before and after.
  static Found Read(const EventEntry& entry, uint64_t number, Event* event) {
    const uint64_t sequence = entry.sequence.load(std::memory_order_acquire);
    if (sequence > 2 * number + 2) return Found::kOverwritten;
    if (sequence != 2 * number + 2) return Found::kNotYet;
    uint64_t words[sizeof(Event) / sizeof(uint64_t)];
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); ++i) {
      words[i] = entry.words[i].load(std::memory_order_relaxed);
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (entry.sequence.load(std::memory_order_relaxed) != sequence) return Found::kOverwritten;
    __builtin_memcpy(event, words, sizeof(words));
    return Found::kComplete;
  }
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_AUDIT_EVENT_RING_H_
