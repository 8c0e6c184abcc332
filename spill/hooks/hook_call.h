// Calling code that is not ours from places that cannot fail: whatever it throws ends here,
// and a thread that ends inside it leaves nothing behind.
#ifndef TASKMEM_SPILL_HOOKS_HOOK_CALL_H_
#define TASKMEM_SPILL_HOOKS_HOOK_CALL_H_

#include <cstdint>

namespace taskmem {

// What a program registers to give memory back (CONS-2). Returns what it says it freed, in
// bytes. `trigger`: the consumer that needs the memory, 0 where it is none.
using SpillCallback = uint64_t (*)(void* context, uint64_t bytes_needed, uint64_t trigger);

struct HookCall {
  SpillCallback callback;
  void* context;
  uint64_t bytes_needed;
  uint64_t trigger;
  // Called instead of a return where the thread ends inside the hook (pthread_exit,
  // cancellation): what the caller holds is given up here.
  void (*thread_ended)(void*);
  void* thread_ended_argument;

  uint64_t returned = 0;
  bool has_thrown = false;
};

// Runs the hook. A C++ exception that leaves it is disposed of as by catch (...) {}, in the
// C++ runtime that threw it; any other language's is deleted. The thread cannot be cancelled
// meanwhile, unless the hook says so itself: the caller may be malloc, which is no
// cancellation point. May be nested. The hook must not leave by longjmp.
void CallHook(HookCall& call);

}  // namespace taskmem

#endif  // TASKMEM_SPILL_HOOKS_HOOK_CALL_H_
