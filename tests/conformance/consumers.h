// Consumers that do at a spill what the trace says.
#ifndef TASKMEM_TESTS_CONFORMANCE_CONSUMERS_H_
#define TASKMEM_TESTS_CONFORMANCE_CONSUMERS_H_

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "accounting/memory/memory_block.h"
#include "accounting/spark/memory_consumer.h"
#include "accounting/spark/task_memory_manager.h"

namespace taskmem::conformance {

class LogicalThreads;

// A page that a step of the trace allocated, for as long as the trace lasts.
struct TracePage {
  MemoryBlock block;
  const TaskMemoryManager* manager = nullptr;  // null: straight from an allocator
  // Spark's mark on the page object itself: whoever freed it, and also at a clean-up.
  bool is_freed = false;
};

enum class Behaviour {
  kExact,
  kExactNotSelf,
  kAll,
  kAllNotSelf,
  kHalf,
  kNone,
  kSilent,
  kPages,
  kPagesNotSelf,
  kIoError,
  kInterrupted,
  kClosed,
};

// Throws TraceError.
Behaviour BehaviourOf(const std::string& name);

// The name must be there before MemoryConsumer is constructed with it.
struct ConsumerName {
  std::string text;
};

class TraceConsumer final : private ConsumerName, public MemoryConsumer {
 public:
  TraceConsumer(TaskMemoryManager& manager, MemoryMode mode, const std::string& name,
                int64_t page_size_bytes, Behaviour behaviour, LogicalThreads& threads);
  ~TraceConsumer() { Leave(); }

  void SetBehaviour(Behaviour behaviour) { behaviour_ = behaviour; }

  // The page is freed when the consumer spills whole pages.
  void Own(TracePage& page);
  // Frees one of its pages; also one that has been freed, to see what happens then.
  MemoryError Free(TracePage& page);

  Result<int64_t> Spill(int64_t bytes, MemoryConsumer* trigger) override;

 private:
  int64_t FreeSome(int64_t bytes, bool is_self);
  int64_t FreePages(int64_t bytes);

  LogicalThreads& threads_;
  std::atomic<Behaviour> behaviour_;
  std::mutex mutex_;
  std::vector<TracePage*> pages_;  // oldest first
};

}  // namespace taskmem::conformance

#endif  // TASKMEM_TESTS_CONFORMANCE_CONSUMERS_H_
