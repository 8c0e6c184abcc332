#include "spill/hooks/hook_call.h"

#include <pthread.h>
#include <setjmp.h>
#include <unwind.h>

#include "spill/hooks/exception_disposal.h"

namespace taskmem {

// A hook that runs on this thread.
struct HookFrame {
  jmp_buf after_exception;
  _Unwind_Exception* exception;
  HookFrame* outer;
};

namespace {

__thread HookFrame* t_innermost __attribute__((tls_model("initial-exec"))) = nullptr;

}  // namespace

// The frame below which exceptions end: no C++ runtime is needed, because the unwinder asks
// the function named here what to do with its frame.
extern "C" {

// Only the unwinder calls it. Phase 1: here is a handler. Phase 2, the frames of the hook
// have been cleaned up: go on after the call.
__attribute__((visibility("hidden"), used)) _Unwind_Reason_Code TaskmemHookPersonality(
    int version, _Unwind_Action actions, _Unwind_Exception_Class, _Unwind_Exception* exception,
    _Unwind_Context*) {
  if (version != 1) return _URC_FATAL_PHASE1_ERROR;
  // The thread ends: others clean up.
  if ((actions & _UA_FORCE_UNWIND) != 0) return _URC_CONTINUE_UNWIND;
  if ((actions & _UA_SEARCH_PHASE) != 0) return _URC_HANDLER_FOUND;
  HookFrame* const frame = t_innermost;
  frame->exception = exception;
  longjmp(frame->after_exception, 1);
}

__attribute__((visibility("hidden"), noinline, noclone)) uint64_t TaskmemCallBarrier(
    const taskmem::HookCall* call) {
  // 0x1b: relative to its place, 32 bits.
  __asm__ volatile(".cfi_personality 0x1b, TaskmemHookPersonality");
  const uint64_t returned = call->callback(call->context, call->bytes_needed, call->trigger);
  // No jump: the frame must be there. And the linker, which drops functions nobody refers
  // to, does not look into the tables of frames.
  __asm__ volatile("" : : "r"(TaskmemHookPersonality));
  return returned;
}

}  // extern "C"

namespace {

// What must be undone when the thread ends inside the hook.
struct Ending {
  HookCall* call;
  HookFrame* outer;
};

void ThreadEnded(void* packed) {
  const auto* ending = static_cast<const Ending*>(packed);
  t_innermost = ending->outer;
  if (ending->call->thread_ended != nullptr) {
    ending->call->thread_ended(ending->call->thread_ended_argument);
  }
}

// The only frame that is jumped to: nothing in it changes between the two returns.
__attribute__((noinline)) void CallInFrame(HookCall* call, HookFrame* frame) {
  if (_setjmp(frame->after_exception) == 0) {
    call->returned = TaskmemCallBarrier(call);
  } else {
    call->has_thrown = true;
  }
}

}  // namespace

void CallHook(HookCall& call) {
  HookFrame frame;
  frame.exception = nullptr;
  frame.outer = t_innermost;
  Ending ending = {&call, frame.outer};
  int cancellation = PTHREAD_CANCEL_ENABLE;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
  pthread_cleanup_push(ThreadEnded, &ending);
  t_innermost = &frame;
  CallInFrame(&call, &frame);
  t_innermost = frame.outer;
  pthread_cleanup_pop(0);
  if (call.has_thrown) DisposeOfException(frame.exception);
  pthread_setcancelstate(cancellation, nullptr);
}

}  // namespace taskmem
