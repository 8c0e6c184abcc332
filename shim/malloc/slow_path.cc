#include "shim/malloc/slow_path.h"

#include <atomic>
#include <cerrno>

#include "accounting/base/debug.h"
#include "accounting/base/errno_keeper.h"
#include "shim/base/os.h"
#include "shim/base/small_space.h"
#include "shim/books/after_fork.h"
#include "shim/collect/collect.h"
#include "shim/collect/decay.h"
#include "shim/collect/orphan.h"
#include "shim/collect/thread_context.h"
#include "shim/contexts/borrow.h"
#include "shim/contexts/charge.h"
#include "shim/contexts/contexts_of.h"
#include "shim/heap/upcalls.h"
#include "shim/limit/overflow_heap.h"
#include "shim/limit/request_limit.h"
#include "shim/limit/take.h"
#include "shim/malloc/aligned.h"
#include "shim/mimalloc/seams.h"
#include "shim/pages/sampled_blocks.h"

namespace taskmem {

namespace {

void* LibcAllocate(size_t size, bool zero, size_t alignment) {
  if (g_libc_heap == nullptr) return nullptr;
  if (alignment != 0) return g_libc_heap->memalign(alignment, size);
  return zero ? g_libc_heap->calloc(1, size) : g_libc_heap->malloc(size);
}

void* OrphanAllocate(size_t size, bool zero, size_t alignment) {
  if (!OpenOnce()) return LibcAllocate(size, zero, alignment);
  if (HoldsOrphan()) return nullptr;
  ThreadState& t = t_thread;
  const OrphanLock lock;
  void* result = nullptr;
  if (g_orphan == nullptr) {
    g_orphan = MakeContext();
    // A sample comes from a shared page, whose lock the interrupted code may hold.
    // Such a page never arises there.
    if (g_orphan != nullptr) {
      g_orphan->clock.Stop();
      g_orphan->untracked.always_hot = true;
    }
  }
  if (g_orphan != nullptr) {
    Context* own = t.context;
    t.context = g_orphan;
    // All its blocks are freed by threads that it is not the context of.
    if (g_orphan->untracked.heap != nullptr) TakeDelayedFrees(g_orphan->untracked.heap);
    TakeDelayedFrees(&g_orphan->shared.heap);
    if (Take(g_orphan, &g_orphan->untracked, size, zero, alignment, ChargeMode::kOverQuota,
             &result) != Outcome::kDone) {
      result = nullptr;
    }
    if (result != nullptr && alignment != 0) result = AlignWithin(result, alignment);
    t.context = own;
  }
  PostTotal();
  return result;
}

constexpr uint32_t kEntriesBetweenPurges = 4096;

// The system has no more. What other threads left free may be enough.
__attribute__((noinline)) void* AllocateAfterFailure(Context* context, size_t size, bool zero,
                                                     size_t alignment) {
  const ErrnoKeeper keeper;
  void* result = nullptr;
  CollectContext(context, /*force=*/true);
  CollectParked(kEverySlot);
  return Take(context, t_thread.pair, size, zero, alignment, ChargeMode::kWithinQuota, &result) ==
                 Outcome::kDone
             ? result
             : nullptr;
}

// What is done now and then by each thread that allocates.
__attribute__((noinline)) void LookAround(Context* context) {
  PurgeOwnIfDue(context);
  if (context->entries_since_purge >= kEntriesBetweenPurges) {
    PurgeEndedPairs(context);
    SampleResidencyIfDue(/*is_urgent=*/false);
  }
}

// Whom the thread works for may have changed.
__attribute__((noinline)) void LookAtThreadsTask(ThreadState& t) {
  if (t.check_name) {
    t.check_name = false;
    RecheckThreadName();
  }
  if (t.is_pool) LookAtPoolThread();
}

// An optional one, to which there is an alternative, is not worth a refusal, nor that room is
// made for it: it fails.
enum class RequestKind : uint8_t { kUsual, kOptional };

__attribute__((always_inline)) inline void* AllocateSlow(Context* context, size_t size, bool zero,
                                                         size_t alignment, RequestKind kind) {
  ThreadState& t = t_thread;
  if (__builtin_expect(t.check_name | t.is_pool, 0)) LookAtThreadsTask(t);
  if (HasRequest()) AnswerRequest();
  Pair* pair = t.pair;
  // Another thread may have stored the empty heap. The end of the task is looked for
  // after the heap is put back: who ends it later stores the empty heap again.
  if (_mi_heap_default != pair->front) {
    TASKMEM_DELAY_POINT(put_heap_back);
    _mi_heap_default = pair->front;
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  if (__builtin_expect(HasEnded(*pair), 0) && !t.keeps_ended_task) {
    UsePair(context, &context->untracked);
    pair = t.pair;
  }
  constexpr uint32_t kEntriesBetweenLooks = 64;
  if (__builtin_expect(++context->entries_since_purge % kEntriesBetweenLooks == 0, 0)) {
    LookAround(context);
  }
  if (pair->heap != nullptr) TakeDelayedFrees(pair->heap);
  TakeDelayedFrees(&context->shared.heap);
  TakeDelayedFrees(&context->sampled.heap);
  void* result = nullptr;
  if (__builtin_expect(context->overflow != nullptr || OverflowComesFirst(), 0) &&
      OverflowFirst(context, pair, size, zero, alignment, &result)) {
    NoteServed(size);
    return result;
  }
  const Outcome outcome =
      Take(context, pair, size, zero, alignment, ChargeMode::kWithinQuota, &result);
  if (__builtin_expect(outcome == Outcome::kDone, 1)) {
    NoteServed(size);
    return result;
  }
  if (kind == RequestKind::kOptional) return AllocateIfLetThrough(context, size);
  if (outcome == Outcome::kOverQuota) return AllocateAtLimit(context, size, zero, alignment);
  return AllocateAfterFailure(context, size, zero, alignment);
}

// The slow path of the malloc family: once for malloc, once for calloc, and once for the rest.
__attribute__((always_inline)) inline void* AllocateInside(size_t size, bool zero, size_t alignment,
                                                           RequestKind kind) {
  ThreadState& t = t_thread;
  if (__builtin_expect(t.phase != ThreadPhase::kReady || t.busy, 0)) {
    if (t.busy || t.phase == ThreadPhase::kEnded || EnterThread() == nullptr) {
      return OrphanAllocate(size, zero, alignment);
    }
  }
  EnsureSettledBooks();
  const InsideAllocator inside{InsideAllocator::NotNested()};
  Context* context = t.context;
  void* result = AllocateSlow(context, size, zero, alignment, kind);
  if (__builtin_expect(context->sample_interval != 0, 0)) {
    if (result != nullptr) RecordSample(context, result, size);
    context->sample_interval = 0;
  }
  if (alignment != 0 && result != nullptr) result = AlignWithin(result, alignment);
  if (__builtin_expect(g_soft_limit_percent != 0, 0)) NoteSoftLimit(t.pair->slot);
  return result;
}

}  // namespace

__attribute__((noinline)) void* Failed() {
  errno = ENOMEM;
  return nullptr;
}

__attribute__((noinline)) void* MallocSlow(size_t size) {
  void* block = AllocateInside(size, false, 0, RequestKind::kUsual);
  return __builtin_expect(block != nullptr, 1) ? block : Failed();
}

__attribute__((noinline)) void* CallocSlow(size_t bytes) {
  void* block = AllocateInside(bytes, true, 0, RequestKind::kUsual);
  return __builtin_expect(block != nullptr, 1) ? block : Failed();
}

__attribute__((noinline)) void* AllocateOptional(size_t size) {
  return AllocateInside(size, false, 0, RequestKind::kOptional);
}

void* MallocGeneric(mi_heap_t*, size_t size, bool zero, size_t alignment) {
  return AllocateInside(size, zero, alignment, RequestKind::kUsual);
}

uintptr_t OsRandom() {
  uintptr_t random = 0;
  // Samples fall by chance, nothing is secret.
  if (os::IsFiltered()) return (os::MonotonicNs() ^ reinterpret_cast<uintptr_t>(&random)) | 1;
  os::Call(SYS_getrandom, reinterpret_cast<long>(&random), sizeof(random), 0);
  return random;
}

}  // namespace taskmem
