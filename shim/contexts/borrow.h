// Who may change a context, and how another thread comes to collect it.
//
//   owned    its thread may, by the fast path without saying so, else inside the allocator
//   lent     whoever holds Context::lock may; its thread sleeps, or waits for the lock
//   parked   no thread has it: whoever holds Context::lock may
//
//             a new thread, under the lock               a collector, under the lock
//   parked --------------------------------> owned <--------------------------------> lent
//          <--------------------------------       the thread takes it back, likewise
//             the thread ends, or has ended
//
// From owned to lent (collect/collect.cc), all under the lock:
//   1. The thread is seen blocked in a system call. So it lives, and its TLS is there.
//   2. kNoContext is stored in its ThreadState::id, the empty heap in its default heap: its next
//      malloc and free of its own come to the slow path.
//   3. It is seen blocked again, outside the fast path, and then not inside the allocator.
//   4. Last of all both words are looked at: they are still what was stored.
// The thread was off its processor at some moment of step 3. What it did before that is visible:
// where it was past a look at the words it has put back what it puts back, or says that it is
// inside. What it does after that finds the words of step 2, and waits for the lock.
//
// Rules that make this hold:
//   - Another thread stores only these two values, and only under the lock. So a store is
//     harmless whenever it comes: it costs the thread one slow path. Only the thread itself puts
//     back its id (TakeBack) and its heap (AllocateSlow, UsePair, SetFront).
//   - A thread says that it is inside before it looks at its id; a collector looks whether it is
//     inside before it looks at the words.
//   - A lent context stays lent, and is collected again without a look at its thread, until the
//     thread takes it back. Nobody waits for an id to change: who waits, waits for the lock, and
//     lends its priority to the holder.
//   - Whether a block is local is decided inside the allocator.
//
// What is left open: a thread seen blocked or alive (PokeThreads) that wakes, ends by the bare
// system call, is joined and has its stack unmapped before the next two stores. Nothing can stop
// such a thread, and a store that the kernel checks is not atomic.
#ifndef TASKMEM_SHIM_CONTEXTS_BORROW_H_
#define TASKMEM_SHIM_CONTEXTS_BORROW_H_

#include "accounting/base/debug.h"
#include "shim/contexts/context.h"

namespace taskmem {

// This thread's context is its own again: nobody else changes it from here on while the thread
// is inside the allocator. Waits for who collects it.
void TakeBack();

// The same where nobody collects it now. False: somebody does, or there is no context.
bool TryTakeBack();

// The one way into what changes heaps, other than the fast path. While it lives signal handlers
// of this thread keep out of its context, and no collector takes it. Nests: in a handler that
// interrupted the allocator, and where the allocator calls itself.
class InsideAllocator {
 public:
  enum Mode : uint8_t {
    kAwaitContext,  // takes the context back, however long that takes
    kTryContext,    // leaves it where it is if somebody collects it now
  };

  struct NotNested {};  // says that the thread is not inside: saves the look

  explicit InsideAllocator(Mode mode = kAwaitContext) : was_inside_(Enter(mode)) {}
  explicit InsideAllocator(NotNested) : was_inside_(false) {
    TASKMEM_DCHECK(!t_thread.busy);
    t_thread.busy.Set(true);
    TakeBackUnless(false, kAwaitContext);
  }
  ~InsideAllocator() { Leave(was_inside_); }
  InsideAllocator(const InsideAllocator&) = delete;
  InsideAllocator& operator=(const InsideAllocator&) = delete;

  // The thread was inside already: it may be in a handler that interrupted any change.
  bool IsNested() const { return was_inside_; }

  // The heaps are as the fast path would find them, and this thread's to change.
  bool HasContext() const { return !was_inside_ && OwnsItsContext(t_thread); }

  // What it consists of, for scopes whose declarations show nothing of it. `Leave` takes what
  // `Enter` returned.
  static bool Enter(Mode mode = kAwaitContext) {
    const bool was_inside = t_thread.busy.Set(true);
    TakeBackUnless(was_inside, mode);
    return was_inside;
  }
  static void Leave(bool was_inside) {
    TASKMEM_DELAY_POINT(leaving);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    t_thread.busy.Set(was_inside);
  }

  // Code of the program runs amid an allocation, with nothing half done: it may allocate and
  // sleep like any other. `Resume` takes what `Suspend` returned.
  static bool Suspend() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return t_thread.busy.Set(false);
  }
  static void Resume(bool was_inside) {
    t_thread.busy.Set(was_inside);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (was_inside && !OwnsItsContext(t_thread)) TakeBack();
  }

 private:
  // Where it was inside it has the context, or is in a handler that leaves it alone.
  static void TakeBackUnless(bool was_inside, Mode mode) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (__builtin_expect(!OwnsItsContext(t_thread), 0) && !was_inside) {
      mode == kAwaitContext ? TakeBack() : static_cast<void>(TryTakeBack());
    }
    TASKMEM_DELAY_POINT(inside);
  }

  const bool was_inside_;
};

// Debug libraries hold everybody who changes a context to the rules above.
#ifdef TASKMEM_DEBUG
void AssertMayChange(const Context* context);
#else
inline void AssertMayChange(const Context*) {}
#endif

// A context for a while, as a collector has it.
class ContextLock {
 public:
  explicit ContextLock(Context* context) : context_(context) { context_->lock.Lock(); }
  ~ContextLock() { context_->lock.Unlock(); }
  ContextLock(const ContextLock&) = delete;
  ContextLock& operator=(const ContextLock&) = delete;

 private:
  Context* const context_;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CONTEXTS_BORROW_H_
