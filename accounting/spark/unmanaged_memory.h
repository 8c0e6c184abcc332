// Memory that nobody draws from the pools but somebody can measure: Spark's
// UnmanagedMemoryConsumer and its poller (UNM).
#ifndef TASKMEM_ACCOUNTING_SPARK_UNMANAGED_MEMORY_H_
#define TASKMEM_ACCOUNTING_SPARK_UNMANAGED_MEMORY_H_

#include <atomic>
#include <cstdint>
#include <string_view>

#include "accounting/base/memory_log.h"
#include "accounting/base/mutex.h"
#include "accounting/memory/memory_mode.h"
#include "accounting/pools/unmanaged_totals.h"

namespace taskmem {

// UNM-1. Implemented by whoever holds such memory.
class UnmanagedMemoryConsumer {
 public:
  // A consumer that is gone answers this, and is removed at the next poll.
  static constexpr int64_t kGone = -1;
  // The answer of a consumer that could not find out: a poll warns, with failure_text(),
  // and counts 0.
  static constexpr int64_t kFailed = INT64_MIN;

  // The names, component type and instance key, identify the consumer: they are shown
  // and must outlive it.
  constexpr UnmanagedMemoryConsumer(const char* component_type, const char* instance_key,
                                    MemoryMode mode)
      : component_type_(component_type), instance_key_(instance_key), mode_(mode) {}
  UnmanagedMemoryConsumer(const UnmanagedMemoryConsumer&) = delete;
  UnmanagedMemoryConsumer& operator=(const UnmanagedMemoryConsumer&) = delete;

  // Bytes in use now; kGone; kFailed; another negative number is warned about and counts
  // as 0. Called with no lock held.
  virtual int64_t GetMemBytesUsed() { return 0; }
  virtual const char* failure_text() const { return ""; }

  const char* component_type() const { return component_type_; }
  const char* instance_key() const { return instance_key_; }
  MemoryMode mode() const { return mode_; }

 protected:
  ~UnmanagedMemoryConsumer() = default;

 private:
  friend class UnmanagedMemoryRegistry;
  const char* const component_type_;
  const char* const instance_key_;
  const MemoryMode mode_;
  UnmanagedMemoryConsumer* next_ = nullptr;
};

// UNM-2 to UNM-8. Thread-safe, allocates nothing. Who polls, and how often, is its
// owner's business. No lock is held while a consumer is asked or a line is logged.
class UnmanagedMemoryRegistry {
 public:
  explicit UnmanagedMemoryRegistry(MemoryLog* log = nullptr) : log_(log) {}
  UnmanagedMemoryRegistry(const UnmanagedMemoryRegistry&) = delete;
  UnmanagedMemoryRegistry& operator=(const UnmanagedMemoryRegistry&) = delete;

  // Replaces one with the same names (UNM-2). The consumer must not be in another
  // registry.
  void Register(UnmanagedMemoryConsumer& consumer);

  // Removes whichever consumer has these names, as Spark does; if there is none nothing
  // is removed. The totals keep its part until the next poll (UNM-8). Returns when no other
  // thread is inside consumer.GetMemBytesUsed, so that it may be destroyed: each consumer
  // is unregistered before that, also one that a poll or another has removed. From inside its
  // GetMemBytesUsed it returns at once, and other threads may still be inside.
  void Unregister(UnmanagedMemoryConsumer& consumer);

  void Clear();  // UNM-8: zeroes the totals, too

  // Asks every consumer and renews the totals (UNM-4). Sums stop at INT64_MAX.
  void Poll();

  // UNM-8: asks the consumers of the type now. One that failed counts as 0, other negative
  // answers as what they are: one that is gone as -1, until a poll removes it.
  int64_t GetMemoryByComponentType(std::string_view type);

  const UnmanagedTotals& totals() const { return totals_; }
  int64_t GetUnmanagedMemoryUsed() const;

  // In a fork child, before anything else: no other thread is inside a consumer.
  void ResetAfterFork();

 private:
  struct Visit;
  struct Answer;

  // These need the lock.
  UnmanagedMemoryConsumer** Find(const UnmanagedMemoryConsumer& names);
  void Replace(UnmanagedMemoryConsumer** link, UnmanagedMemoryConsumer* by);
  bool MayNotWaitFor(const UnmanagedMemoryConsumer& consumer);
  bool IsVisited(const UnmanagedMemoryConsumer& consumer) const;

  void Begin(Visit& visit);
  bool AskNext(Visit& visit, Answer* answer);

  MemoryLog* const log_;
  mutable Mutex mutex_;
  UnmanagedMemoryConsumer* first_ = nullptr;  // in the order in which they were registered
  Visit* visits_ = nullptr;
  int waiting_ = 0;                      // threads that wait for a departure
  std::atomic<uint32_t> departures_{0};  // of threads from consumers: what a futex waits for
  UnmanagedTotals totals_;
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_SPARK_UNMANAGED_MEMORY_H_
