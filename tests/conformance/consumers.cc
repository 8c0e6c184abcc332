#include "tests/conformance/consumers.h"

#include <algorithm>
#include <map>

#include "tests/conformance/logical_threads.h"
#include "tests/conformance/step_run.h"
#include "tests/conformance/trace.h"

namespace taskmem::conformance {
namespace {

// How a spill fails, and how that is written.
struct SpillFailure {
  ErrorCode code;
  const char* detail;
  const char* answer;
};

const SpillFailure* FailureOf(Behaviour behaviour) {
  static const SpillFailure kIo = {ErrorCode::kSpillFailed, "spill failed", "io_error"};
  static const SpillFailure kInterrupted = {ErrorCode::kSpillInterrupted, "spill interrupted",
                                            "interrupted"};
  // Java's exception has no message.
  static const SpillFailure kClosed = {ErrorCode::kSpillInterrupted, "", "closed"};
  switch (behaviour) {
    case Behaviour::kIoError: return &kIo;
    case Behaviour::kInterrupted: return &kInterrupted;
    case Behaviour::kClosed: return &kClosed;
    default: return nullptr;
  }
}

}  // namespace

Behaviour BehaviourOf(const std::string& name) {
  static const std::map<std::string, Behaviour> kBehaviours = {
      {"exact", Behaviour::kExact},
      {"exact_not_self", Behaviour::kExactNotSelf},
      {"all", Behaviour::kAll},
      {"all_not_self", Behaviour::kAllNotSelf},
      {"half", Behaviour::kHalf},
      {"none", Behaviour::kNone},
      {"silent", Behaviour::kSilent},
      {"pages", Behaviour::kPages},
      {"pages_not_self", Behaviour::kPagesNotSelf},
      {"io_error", Behaviour::kIoError},
      {"interrupted", Behaviour::kInterrupted},
      {"closed", Behaviour::kClosed},
  };
  const auto behaviour = kBehaviours.find(name);
  if (behaviour == kBehaviours.end()) throw TraceError("unknown behaviour \"" + name + "\"");
  return behaviour->second;
}

TraceConsumer::TraceConsumer(TaskMemoryManager& manager, MemoryMode mode, const std::string& name,
                             int64_t page_size_bytes, Behaviour behaviour, LogicalThreads& threads)
    : ConsumerName{name},
      MemoryConsumer(manager, mode, text.c_str(), page_size_bytes),
      threads_(threads),
      behaviour_(behaviour) {}

void TraceConsumer::Own(TracePage& page) {
  const std::lock_guard lock(mutex_);
  pages_.push_back(&page);
}

MemoryError TraceConsumer::Free(TracePage& page) {
  {
    const std::lock_guard lock(mutex_);
    std::erase(pages_, &page);
  }
  page.is_freed = true;
  return FreePage(page.block);
}

Result<int64_t> TraceConsumer::Spill(int64_t bytes, MemoryConsumer* trigger) {
  const int64_t used_before = used();
  const Behaviour behaviour = behaviour_;
  StepRun& run = *StepRun::Current();
  Json event = {{"spill", name()},
                {"asked", bytes},
                {"trigger", trigger != nullptr ? Json(trigger->name()) : Json()},
                {"used", used_before}};
  if (const SpillFailure* const failure = FailureOf(behaviour)) {
    event["ret"] = failure->answer;
    run.Add(std::move(event));
    return MemoryError(failure->code, failure->detail);
  }
  LogicalThreads::Settling settling(threads_);
  const int64_t freed = FreeSome(bytes, trigger == this);
  if (freed > 0 && !settling.Await()) run.Add({{"stuck", "other threads do not settle"}});
  const int64_t answer = behaviour == Behaviour::kSilent ? 0 : freed;
  event["ret"] = answer;
  run.Add(std::move(event));
  return answer;
}

int64_t TraceConsumer::FreeSome(int64_t bytes, bool is_self) {
  int64_t freed = 0;
  switch (behaviour_) {
    case Behaviour::kExactNotSelf:
      if (is_self) return 0;
      [[fallthrough]];
    case Behaviour::kExact: freed = std::min(bytes, used()); break;
    case Behaviour::kAllNotSelf:
      if (is_self) return 0;
      [[fallthrough]];
    case Behaviour::kAll:
    case Behaviour::kSilent: freed = used(); break;
    case Behaviour::kHalf: freed = used() / 2; break;
    case Behaviour::kPagesNotSelf:
      if (is_self) return 0;
      [[fallthrough]];
    case Behaviour::kPages: return FreePages(bytes);
    case Behaviour::kNone:
    case Behaviour::kIoError:
    case Behaviour::kInterrupted:
    case Behaviour::kClosed: return 0;
  }
  // More may have been freed than was acquired.
  if (freed <= 0) return 0;
  FreeMemory(freed);
  return freed;
}

int64_t TraceConsumer::FreePages(int64_t bytes) {
  int64_t freed = 0;
  while (freed < bytes) {
    TracePage* page = nullptr;
    {
      const std::lock_guard lock(mutex_);
      std::erase_if(pages_, [](const TracePage* each) { return each->is_freed; });
      if (!pages_.empty()) page = pages_.front();
    }
    if (page == nullptr) break;
    const int64_t size = page->block.size;
    // A refusal shows in the state.
    static_cast<void>(Free(*page));
    freed += size;
  }
  return freed;
}

}  // namespace taskmem::conformance
