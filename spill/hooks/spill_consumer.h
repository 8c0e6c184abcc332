// What can be asked to give a task's memory back: Spark's MemoryConsumer, as a callback.
#ifndef TASKMEM_SPILL_HOOKS_SPILL_CONSUMER_H_
#define TASKMEM_SPILL_HOOKS_SPILL_CONSUMER_H_

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "accounting/memory/memory_mode.h"
#include "spill/hooks/hook_call.h"

namespace taskmem {

// Where a hook runs: on the thread that needs the memory, inside its allocation, or on a
// thread of taskmem's own, while that one waits, bounded.
enum class SpillThread : uint8_t { kAllocating, kReclaimer };

struct SpillConsumerOptions {
  uint64_t task;
  MemoryMode mode = MemoryMode::kOffHeap;
  SpillThread runs_on = SpillThread::kAllocating;
  SpillCallback spill = nullptr;
  void* context = nullptr;
  const char* name = nullptr;  // copied, cut at kSpillNameBytes - 1; may be null
  uint64_t used_bytes = 0;     // until it reports
};

inline constexpr uint32_t kSpillNameBytes = 48;
// A consumer that uses more is said to use this much.
inline constexpr uint64_t kMaxUsedBytes = (uint64_t{1} << 48) - 1;

struct TaskConsumers;

// What a thread waits for that had a call queued: on its stack, under the lock of SpillHooks.
struct AwaitedCall {
  bool is_over = false;
  bool was_made = false;  // false: it was taken back
  uint64_t returned_bytes = 0;
};

// A place for a consumer; consumers come and go in it. All but id and used: under the lock
// of SpillHooks.
//
// A consumer has one call at a time:
//
//     kNone     nobody asks it
//     kQueued   a thread waits (`asker`) until one of the reclaimer's takes the call, which is in
//               its queue
//     kRunning  on `thread`. It is watched, or has been told of as one that hangs (hook_watch.h)
//
//   from       to         by
//   kNone      kQueued    who spills, for a hook of the reclaimer's: AskReclaimerAndUnlock
//   kNone      kRunning   who spills, on its own thread; a soft spill, on the reclaimer's:
//   BeginCall kQueued    kRunning   the reclaimer's thread that takes it from the queue, as one
//   step: BeginCall kQueued    kNone      the asker, which has waited in vain; Unregister, EndTask:
//   EndCall kRunning   kNone      the thread that runs it, also as it ends inside the hook: EndCall
//   any        kNone      a forked child in which the thread is gone: EndCall
//
// Where `asker` gives up on a call that runs, it leaves (nullptr): whoever runs the call counts it.
// A consumer that is unregistered, or whose task has ended, amid a call keeps its place until
// EndCall.
struct SpillConsumer {
  enum class Call : uint8_t { kNone, kQueued, kRunning };

  std::atomic<uint64_t> id{0};    // 0: nobody's
  std::atomic<uint64_t> used{0};  // the low 16 bits of the generation, 48 bits of bytes
  uint32_t index = 0;
  uint32_t generation = 0;
  uint64_t number = 0;  // grows from consumer to consumer
  SpillConsumer* previous = nullptr;
  SpillConsumer* next = nullptr;  // of the task's, oldest first; or of the free
  TaskConsumers* task = nullptr;  // nullptr: unregistered, but a call is in flight

  SpillCallback spill = nullptr;
  void* context = nullptr;
  uint64_t task_key = 0;
  MemoryMode mode = MemoryMode::kOffHeap;
  SpillThread runs_on = SpillThread::kAllocating;
  char name[kSpillNameBytes] = "";

  // The call in flight: one at a time.
  Call call = Call::kNone;
  bool is_hung = false;          // it runs, and somebody has waited for it in vain
  AwaitedCall* asker = nullptr;  // of a call in the reclaimer's queue or from it
  pthread_t thread = {};         // that runs it
  int thread_id = 0;             // the same, as the kernel knows it
  int waiting_thread = 0;        // the id of the last that waited for it
  int64_t began_ns = 0;          // of the monotonic clock
  // It runs and has not been told of as one that hangs (hook_watch.h).
  bool is_watched = false;
  SpillConsumer* previous_watched = nullptr;
  SpillConsumer* next_watched = nullptr;
  uint64_t asked_bytes = 0;
  uint64_t trigger = 0;
  SpillConsumer* next_queued = nullptr;
  // The call for whose end the thread that runs this call waits.
  SpillConsumer* awaits = nullptr;
  // Grows as a call ends. Never reset: who waits may look at it late.
  std::atomic<uint32_t> calls_ended{0};
  uint32_t waiting = 0;  // threads that wait for that
};

// What one hard spill of a task is, on the stack of the thread that does it.
struct SpillRound {
  pthread_t thread;
  TaskConsumers* task;
  MemoryMode mode;
  SpillConsumer* asked;  // runs on this thread now
};

// The consumers of a task, oldest first, and its spills. Under the lock of SpillHooks.
struct TaskConsumers {
  uint64_t key = 0;
  TaskConsumers* next = nullptr;  // in a bucket, or of the free
  uint32_t users = 0;             // consumers, and threads that look at this
  SpillConsumer* first = nullptr;
  SpillConsumer* last = nullptr;
  uint32_t consumers = 0;
  uint32_t reclaimer_consumers = 0;  // of them, that run on a thread of taskmem's
  // The round that others join, by mode.
  SpillRound* rounds[kMemoryModes] = {};
  uint64_t freed_bytes[kMemoryModes] = {};  // by all rounds, never reset
  uint32_t joined[kMemoryModes] = {};       // threads that wait for a round
  int joined_thread[kMemoryModes] = {};     // the id of the last of them
  // Never reset. Joined threads wait for rounds_told to change, and see what has happened.
  std::atomic<uint32_t> rounds_told[kMemoryModes] = {};
  std::atomic<uint32_t> rounds_ended[kMemoryModes] = {};
  std::atomic<uint32_t> collects_wanted[kMemoryModes] = {};  // of each joined thread
  std::atomic<uint32_t> collects_done[kMemoryModes] = {};    // by all of them
  bool is_soft_queued = false;
  uint64_t soft_bytes = 0;
  TaskConsumers* next_soft = nullptr;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_HOOKS_SPILL_CONSUMER_H_
