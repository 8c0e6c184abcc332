#include "shim/tasks/threads.h"

#include <errno.h>
#include <pthread.h>
#include <threads.h>

#include <atomic>

#include "shim/adopt/adopted_bytes.h"
#include "shim/base/next_symbol.h"
#include "shim/books/after_fork.h"
#include "shim/books/own_memory.h"
#include "shim/heap/heap.h"
#include "shim/heap/upcalls.h"
#include "shim/mapping_book/residency_timer.h"
#include "shim/own_threads/slack_thread.h"
#include "shim/tasks/pool_makers.h"
#include "shim/tasks/pool_threads.h"
#include "shim/tasks/thread_tasks.h"

namespace taskmem {
namespace {

size_t g_default_stack_bytes = 0;

void ThreadEnded(void*) {
  DropBirthName();
  EndTaskOfThread();
  adopt::PostAdoptedForGood();
  LeaveHeap();
  NoteSlackAtRest();
}

struct StartBlock {
  void* (*start)(void*);
  int (*start_c11)(void*);
  void* argument;
  ThreadBirth birth;
  char* name;  // CopyBirthName's
};

void FreeBlock(StartBlock* block) {
  FreeBirthName(block->name);
  OwnFree(block, sizeof(StartBlock));
}

// Runs a thread's function between its entry and its end, however it ends: by a
// return, pthread_exit or cancellation. No destructor of glibc's is used for that:
// a pthread key would shift the program's, and registering one for thread_local
// takes the loader's lock, which whoever waits for this thread may hold.
// Destructors that run after this allocate and free as a thread without a context.
template <typename Call>
void RunBlock(void* packed, Call call) {
  const StartBlock block = *static_cast<StartBlock*>(packed);
  OwnFree(packed, sizeof(StartBlock));
  KeepBirthName(block.name);
  EnterHeap(&block.birth);
  pthread_cleanup_push(ThreadEnded, nullptr);
  call(block);
  pthread_cleanup_pop(1);
}

void* RunThread(void* packed) {
  void* result = nullptr;
  RunBlock(packed, [&](const StartBlock& block) { result = block.start(block.argument); });
  return result;
}

int RunC11Thread(void* packed) {
  int result = 0;
  RunBlock(packed, [&](const StartBlock& block) { result = block.start_c11(block.argument); });
  return result;
}

// Of the stack that a thread with these attributes gets: its guard, glibc's control block and
// thread-local storage take the rest.
uint64_t StackBytes(const pthread_attr_t* attributes) {
  constexpr uint64_t kOthersBytes = 32 * 1024;
  size_t stack_bytes = g_default_stack_bytes;
  size_t guard_bytes = 0;
  if (attributes != nullptr) {
    size_t set_bytes = 0;
    // 0 where the program left it as it is.
    if (pthread_attr_getstacksize(attributes, &set_bytes) != 0) return 0;
    if (set_bytes != 0) stack_bytes = set_bytes;
    if (pthread_attr_getguardsize(attributes, &guard_bytes) != 0) return 0;
  }
  const uint64_t others = guard_bytes + kOthersBytes;
  return stack_bytes > others ? stack_bytes - others : 0;
}

StartBlock* Pack(void* (*start)(void*), int (*start_c11)(void*), void* argument, const void* caller,
                 const pthread_attr_t* attributes = nullptr) {
  auto* block = static_cast<StartBlock*>(OwnAllocate(sizeof(StartBlock)));
  if (block != nullptr) {
    *block = {start, start_c11, argument, {GetCurrentTask(), StackBytes(attributes)}, nullptr};
    block->name = CopyBirthName();
    ThreadBirth& birth = block->birth;
    const link_map* library = nullptr;
    birth.maker = FindThreadMaker(caller, &library);
    if (birth.maker == ThreadMaker::kPool) AnnouncePoolThread(*library);
    if (!OwnThreadEntry(&birth.maker_entry, &birth.maker_tid) &&
        birth.maker == ThreadMaker::kTeam) {
      birth.maker = ThreadMaker::kPool;
    }
  }
  return block;
}

}  // namespace

void LookAtDefaultStack() {
  pthread_attr_t defaults;
  if (pthread_getattr_default_np(&defaults) == 0) {
    pthread_attr_getstacksize(&defaults, &g_default_stack_bytes);
    pthread_attr_destroy(&defaults);
  }
}

}  // namespace taskmem

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace taskmem;

EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                          void* (*start)(void*), void* argument) noexcept {
  static std::atomic<void*> cache;
  auto* next = NextFunction<decltype(&pthread_create)>(cache, "pthread_create");
  ListBooks();
  StartBlock* block = Pack(start, nullptr, argument, __builtin_return_address(0), attributes);
  if (block == nullptr) return EAGAIN;
  const int error = next(thread, attributes, RunThread, block);
  if (error != 0) FreeBlock(block);
  if (error == 0) NoteProgramsThread();
  return error;
}

EXPORT int thrd_create(thrd_t* thread, thrd_start_t start, void* argument) {
  static std::atomic<void*> cache;
  auto* next = NextFunction<decltype(&thrd_create)>(cache, "thrd_create");
  ListBooks();
  StartBlock* block = Pack(nullptr, start, argument, __builtin_return_address(0));
  if (block == nullptr) return thrd_nomem;
  const int error = next(thread, RunC11Thread, block);
  if (error != thrd_success) FreeBlock(block);
  if (error == thrd_success) NoteProgramsThread();
  return error;
}
