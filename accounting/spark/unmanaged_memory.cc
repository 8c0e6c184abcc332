#include "accounting/spark/unmanaged_memory.h"

#include <pthread.h>

#include <cstdio>
#include <cstring>

#include "accounting/base/futex.h"

namespace taskmem {

// A thread on its way along the consumers. On its stack, and listed until it has seen
// all of them.
struct UnmanagedMemoryRegistry::Visit {
  const std::string_view* type = nullptr;  // of consumers to ask; null: all
  bool removes_gone = false;

  const pthread_t thread = pthread_self();
  UnmanagedMemoryConsumer* at = nullptr;    // the thread is inside it
  UnmanagedMemoryConsumer* next = nullptr;  // corrected when that one is removed
  bool has_lost = false;                    // `at` was unregistered from inside: it may be gone
  Visit* older = nullptr;
};

struct UnmanagedMemoryRegistry::Answer {
  int64_t bytes;
  MemoryMode mode;
  bool was_removed;
  char id[256];  // this and the next: of negative answers
  char failure[256];
};

namespace {

bool HaveSameNames(const UnmanagedMemoryConsumer& a, const UnmanagedMemoryConsumer& b) {
  return strcmp(a.component_type(), b.component_type()) == 0 &&
         strcmp(a.instance_key(), b.instance_key()) == 0;
}

int64_t SaturatingSum(int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return b > 0 ? INT64_MAX : INT64_MIN;
  return sum;
}

}  // namespace

// Where the consumer with these names hangs, or the end of the list.
UnmanagedMemoryConsumer** UnmanagedMemoryRegistry::Find(const UnmanagedMemoryConsumer& names) {
  UnmanagedMemoryConsumer** link = &first_;
  while (*link != nullptr && !HaveSameNames(**link, names)) link = &(*link)->next_;
  return link;
}

// Puts `by`, or nothing, where a consumer hangs.
void UnmanagedMemoryRegistry::Replace(UnmanagedMemoryConsumer** link, UnmanagedMemoryConsumer* by) {
  UnmanagedMemoryConsumer* const old = *link;
  UnmanagedMemoryConsumer* const rest = old->next_;
  old->next_ = nullptr;
  if (by != nullptr) by->next_ = rest;
  *link = by != nullptr ? by : rest;
  for (Visit* visit = visits_; visit != nullptr; visit = visit->older) {
    if (visit->next == old) visit->next = *link;
  }
}

void UnmanagedMemoryRegistry::Register(UnmanagedMemoryConsumer& consumer) {
  const MutexLock lock(mutex_);
  UnmanagedMemoryConsumer** const link = Find(consumer);
  if (*link == nullptr) {
    *link = &consumer;
  } else if (*link != &consumer) {
    Replace(link, &consumer);
  }
}

// Whether this thread is inside the consumer; if so its visits no longer use it.
bool UnmanagedMemoryRegistry::MayNotWaitFor(const UnmanagedMemoryConsumer& consumer) {
  bool is_inside = false;
  for (Visit* visit = visits_; visit != nullptr; visit = visit->older) {
    if (visit->at != &consumer || !pthread_equal(visit->thread, pthread_self())) continue;
    visit->has_lost = true;
    is_inside = true;
  }
  return is_inside;
}

bool UnmanagedMemoryRegistry::IsVisited(const UnmanagedMemoryConsumer& consumer) const {
  for (const Visit* visit = visits_; visit != nullptr; visit = visit->older) {
    if (visit->at == &consumer) return true;
  }
  return false;
}

void UnmanagedMemoryRegistry::Unregister(UnmanagedMemoryConsumer& consumer) {
  mutex_.Lock();
  if (UnmanagedMemoryConsumer** const link = Find(consumer); *link != nullptr) {
    Replace(link, nullptr);
  }
  if (!MayNotWaitFor(consumer)) {
    ++waiting_;
    while (IsVisited(consumer)) {
      const uint32_t seen = departures_.load(std::memory_order_relaxed);
      mutex_.Unlock();
      FutexWait(departures_, seen);
      mutex_.Lock();
    }
    --waiting_;
  }
  mutex_.Unlock();
}

void UnmanagedMemoryRegistry::Clear() {
  const MutexLock lock(mutex_);
  while (first_ != nullptr) Replace(&first_, nullptr);
  totals_.Set(MemoryMode::kOnHeap, 0);
  totals_.Set(MemoryMode::kOffHeap, 0);
}

void UnmanagedMemoryRegistry::Begin(Visit& visit) {
  const MutexLock lock(mutex_);
  visit.next = first_;
  visit.older = visits_;
  visits_ = &visit;
}

// Asks the next consumer. False: there is none, and the visit has ended.
bool UnmanagedMemoryRegistry::AskNext(Visit& visit, Answer* answer) {
  mutex_.Lock();
  while (visit.next != nullptr && visit.type != nullptr &&
         *visit.type != visit.next->component_type_) {
    visit.next = visit.next->next_;
  }
  if (visit.next == nullptr) {
    Visit** link = &visits_;
    while (*link != &visit) link = &(*link)->older;
    *link = visit.older;
    mutex_.Unlock();
    return false;
  }
  UnmanagedMemoryConsumer* const consumer = visit.at = visit.next;
  visit.next = consumer->next_;
  visit.has_lost = false;
  mutex_.Unlock();

  answer->mode = consumer->mode_;
  answer->was_removed = false;
  answer->id[0] = answer->failure[0] = '\0';
  answer->bytes = consumer->GetMemBytesUsed();
  if (!visit.has_lost && answer->bytes < 0) {
    // Copied now: once the visit has left it, the consumer may be destroyed.
    snprintf(answer->id, sizeof(answer->id), "UnmanagedMemoryConsumerId(%s,%s)",
             consumer->component_type_, consumer->instance_key_);
    if (answer->bytes == UnmanagedMemoryConsumer::kFailed) {
      snprintf(answer->failure, sizeof(answer->failure), "%s", consumer->failure_text());
    }
  }

  mutex_.Lock();
  if (!visit.has_lost && visit.removes_gone && answer->bytes == UnmanagedMemoryConsumer::kGone) {
    if (UnmanagedMemoryConsumer** const link = Find(*consumer); *link == consumer) {
      Replace(link, nullptr);
      answer->was_removed = true;
    }
  }
  visit.at = nullptr;
  departures_.fetch_add(1, std::memory_order_relaxed);
  const bool is_awaited = waiting_ > 0;
  mutex_.Unlock();
  if (is_awaited) FutexWakeAll(departures_);
  return true;
}

void UnmanagedMemoryRegistry::Poll() {
  int64_t used[kMemoryModes] = {};
  Visit visit;
  visit.removes_gone = true;
  Begin(visit);
  for (Answer answer; AskNext(visit, &answer);) {
    if (answer.bytes >= 0) {
      int64_t& sum = used[IndexOf(answer.mode)];
      sum = SaturatingSum(sum, answer.bytes);
    } else if (answer.was_removed) {
      LogLine(log_, LogLevel::kInfo, "Removed inactive unmanaged memory consumer %s", answer.id);
    } else if (answer.id[0] == '\0' || answer.bytes == UnmanagedMemoryConsumer::kGone) {
      // Removed by others meanwhile.
    } else if (answer.bytes == UnmanagedMemoryConsumer::kFailed) {
      LogLine(log_, LogLevel::kWarn, "Failed to get memory usage for unmanaged memory user %s %s",
              answer.id, answer.failure);
    } else {
      LogLine(log_, LogLevel::kWarn,
              "Invalid memory usage value %lld from unmanaged memory user %s",
              static_cast<long long>(answer.bytes), answer.id);
    }
  }

  int consumers = 0;
  {
    const MutexLock lock(mutex_);
    for (const UnmanagedMemoryConsumer* at = first_; at != nullptr; at = at->next_) ++consumers;
    totals_.Set(MemoryMode::kOnHeap, used[IndexOf(MemoryMode::kOnHeap)]);
    totals_.Set(MemoryMode::kOffHeap, used[IndexOf(MemoryMode::kOffHeap)]);
  }
  const int64_t on_heap = used[IndexOf(MemoryMode::kOnHeap)];
  const int64_t off_heap = used[IndexOf(MemoryMode::kOffHeap)];
  LogLine(log_, LogLevel::kDebug,
          "Unmanaged memory polling completed: %d consumers, total memory used: %lld bytes "
          "(on-heap: %lld, off-heap: %lld)",
          consumers, static_cast<long long>(SaturatingSum(on_heap, off_heap)),
          static_cast<long long>(on_heap), static_cast<long long>(off_heap));
}

int64_t UnmanagedMemoryRegistry::GetMemoryByComponentType(std::string_view type) {
  int64_t sum = 0;
  Visit visit;
  visit.type = &type;
  Begin(visit);
  for (Answer answer; AskNext(visit, &answer);) {
    if (answer.bytes != UnmanagedMemoryConsumer::kFailed) sum = SaturatingSum(sum, answer.bytes);
  }
  return sum;
}

int64_t UnmanagedMemoryRegistry::GetUnmanagedMemoryUsed() const {
  return SaturatingSum(totals_.Get(MemoryMode::kOnHeap), totals_.Get(MemoryMode::kOffHeap));
}

void UnmanagedMemoryRegistry::ResetAfterFork() {
  mutex_.ResetAfterFork();
  visits_ = nullptr;
  waiting_ = 0;
}

}  // namespace taskmem
