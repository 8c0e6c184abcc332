// What was done to make room for one task, and what it cost: beside its book.
//
// Counters of events only grow while the task's slot is its own; overflow_bytes is a
// balance. Each is right at every moment; none is needed for a decision.
#ifndef TASKMEM_ACCOUNTING_TASKS_RECLAIM_BOOK_H_
#define TASKMEM_ACCOUNTING_TASKS_RECLAIM_BOOK_H_

#include <atomic>
#include <cstdint>

namespace taskmem {

struct alignas(128) ReclaimBook {
  std::atomic<uint64_t> spill_calls;  // of hooks, at the limit
  std::atomic<uint64_t> spill_asked_bytes;
  std::atomic<uint64_t> spill_freed_bytes;  // as the books show it, whatever the hooks said
  std::atomic<uint64_t> soft_spill_calls;   // of hooks, at --soft-limit
  std::atomic<uint64_t> soft_spill_asked_bytes;
  std::atomic<uint64_t> soft_spill_freed_bytes;
  std::atomic<uint64_t> stalls;  // allocations that had to have room made for them
  std::atomic<uint64_t> stall_ns;
  std::atomic<uint64_t> longest_stall_ns;
  std::atomic<uint64_t> evicted_blocks;  // from the block store, for this task
  std::atomic<uint64_t> evicted_bytes;
  std::atomic<uint64_t> written_bytes;   // blocks to disk, for this task
  std::atomic<uint64_t> read_bytes;      // blocks back from disk
  std::atomic<uint64_t> overflow_bytes;  // held in the overflow file now
  std::atomic<uint64_t> peak_overflow_bytes;
  std::atomic<uint64_t> pushed_out_bytes;  // of the overflow file, out of memory
  std::atomic<uint64_t> returned_bytes;    // of those, that came back
  std::atomic<uint64_t> waits;             // for memory of the pools
  std::atomic<uint64_t> wait_ns;

  // Every member but the balance, in no order: what becomes zero or is added up as one.
  static constexpr std::atomic<uint64_t> ReclaimBook::*kEvents[] = {
      &ReclaimBook::spill_calls,
      &ReclaimBook::spill_asked_bytes,
      &ReclaimBook::spill_freed_bytes,
      &ReclaimBook::soft_spill_calls,
      &ReclaimBook::soft_spill_asked_bytes,
      &ReclaimBook::soft_spill_freed_bytes,
      &ReclaimBook::stalls,
      &ReclaimBook::stall_ns,
      &ReclaimBook::evicted_blocks,
      &ReclaimBook::evicted_bytes,
      &ReclaimBook::written_bytes,
      &ReclaimBook::read_bytes,
      &ReclaimBook::pushed_out_bytes,
      &ReclaimBook::returned_bytes,
      &ReclaimBook::waits,
      &ReclaimBook::wait_ns};
  static constexpr std::atomic<uint64_t> ReclaimBook::*kMaxima[] = {
      &ReclaimBook::longest_stall_ns, &ReclaimBook::peak_overflow_bytes};

  // The events begin anew; what is held stays.
  void Reset() {
    for (auto event : kEvents) (this->*event).store(0, std::memory_order_relaxed);
    for (auto maximum : kMaxima) (this->*maximum).store(0, std::memory_order_relaxed);
    peak_overflow_bytes.store(overflow_bytes.load(std::memory_order_relaxed),
                              std::memory_order_relaxed);
  }

  // Adds the events of a book that ends.
  void AddEventsOf(const ReclaimBook& other) {
    for (auto event : kEvents) (this->*event).fetch_add((other.*event).load());
    for (auto maximum : kMaxima) Raise(this->*maximum, (other.*maximum).load());
  }

  void AddStall(uint64_t ns) {
    stalls.fetch_add(1, std::memory_order_relaxed);
    stall_ns.fetch_add(ns, std::memory_order_relaxed);
    Raise(longest_stall_ns, ns);
  }

  static void Raise(std::atomic<uint64_t>& maximum, uint64_t value) {
    uint64_t seen = maximum.load(std::memory_order_relaxed);
    while (seen < value && !maximum.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
  }
};

static_assert(sizeof(ReclaimBook) == 256);

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_TASKS_RECLAIM_BOOK_H_
