// What spilling needs of the process it works in: its books, its threads, its allocator.
#ifndef TASKMEM_SPILL_HOOKS_SPILL_HOST_H_
#define TASKMEM_SPILL_HOOKS_SPILL_HOST_H_

#include <cstdint>

#include "accounting/memory/memory_mode.h"
#include "spill/hooks/spill_consumer.h"

namespace taskmem {

// An allocation that does not fit, or (is_soft) a task that is above its soft limit.
struct SpillRequest {
  uint64_t task = 0;
  MemoryMode mode = MemoryMode::kOffHeap;
  uint64_t bytes = 0;    // that are needed
  uint64_t trigger = 0;  // the consumer that needs them; 0: none
  // How long it may wait in all: for hooks on other threads, and for the spill of another
  // thread. The time of hooks on its own thread is theirs.
  int64_t timeout_ns = 0;
  bool is_soft = false;
  // For the host: tries to serve the request, on the thread that made it. May be null.
  bool (*serve)(void* context) = nullptr;
  void* serve_context = nullptr;
};

struct SpillResult {
  uint64_t asked_bytes = 0;  // of all calls
  uint64_t freed_bytes = 0;  // by the books: what the task holds less
  // What hooks say they freed, as far as it was asked for, and the books do not show (yet).
  uint64_t unseen_bytes = 0;
  uint32_t calls = 0;
  bool has_timed_out = false;
  // Another thread of the task was spilling: its result was awaited, and freed_bytes is what
  // that spill freed meanwhile. No call was made.
  bool has_joined = false;
  uint64_t waited_ns = 0;  // for other threads
};

// One call of a hook that is over.
struct SpillCount {
  uint64_t task;
  uint64_t asked_bytes;
  uint64_t freed_bytes;  // by the books
  bool is_soft;
};

// A hook that has not returned in time.
struct HookHang {
  uint64_t task;
  char name[kSpillNameBytes];  // the consumer's
  // Thread ids, as the kernel knows them.
  int hook_thread;               // runs the hook
  int waiting_thread;            // allocates, and has waited for it; 0: none is known
  bool is_on_allocating_thread;  // inside an allocation of hook_thread's
  int64_t running_ns;            // so far
};

// Enough for what a host keeps of a thread while a hook runs on it.
struct HookState {
  uint64_t words[8];
};

// Called with no lock held, by several threads at once.
class SpillHost {
 public:
  // How many bytes are still missing; 0: the request fits now, or nobody needs it any more
  // (the task has ended). `freed_bytes`: since the request was made.
  virtual uint64_t MissingBytes(const SpillRequest& /*request*/, uint64_t /*freed_bytes*/) {
    return 0;
  }

  // What the books say the task holds.
  virtual uint64_t ChargedBytes(uint64_t /*task*/) { return 0; }

  // Lets what was freed show in the books: in this thread's memory, or (everywhere) in that
  // of other threads as well, which is work.
  virtual void CollectFreed(bool /*everywhere*/) {}

  // Around a hook, on the thread that runs it: its allocations come from the reserve and
  // reclaim nothing.
  virtual void EnterHook(HookState* /*state*/) {}
  virtual void LeaveHook(const HookState& /*state*/) {}
  // Instead of LeaveHook, where the thread ends inside the hook.
  virtual void AbandonHook(const HookState& /*state*/) {}

  // Starts a thread that calls run(argument) and then ends. False: it cannot be.
  virtual bool StartThread(void (* /*run*/)(void*), void* /*argument*/) { return false; }

  // The same for the thread that tells of hooks that hang, which runs none itself.
  virtual bool StartWatchThread(void (* /*run*/)(void*), void* /*argument*/) { return false; }
  // The calling thread's, as the kernel knows it.
  virtual int ThreadId() { return 0; }
  // How long a hook may run before NoteHang is called; more than 0.
  virtual int64_t HangNs() { return 1'000'000'000; }

  virtual void Count(const SpillCount& /*count*/) {}
  // Once for a call. It may return still.
  virtual void NoteHang(const HookHang& /*hang*/) {}
  // The hook of the consumer of that name has thrown an exception. Called on its thread.
  virtual void NoteException(uint64_t /*task*/, const char* /*name*/) {}
  // A soft spill of the task is over; nothing is under way until the next is asked for.
  // `unseen_bytes`: as in SpillResult.
  virtual void SoftSpillEnded(uint64_t /*task*/, uint64_t /*unseen_bytes*/) {}

 protected:
  ~SpillHost() = default;
};

}  // namespace taskmem

#endif  // TASKMEM_SPILL_HOOKS_SPILL_HOST_H_
