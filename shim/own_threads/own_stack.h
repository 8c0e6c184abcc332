// Stacks of the library's own threads: small mappings of its own, out of the way of what the
// program maps, and not the program's 8 MiB.
//
//   | guard | stack ............ thread-local storage, glibc's control block | guard |
//
// A guard on both sides, because who runs into either must not find the program's memory, and
// because the kernel keeps a growing stack of the program's 1 MiB away from memory that can be
// accessed, and from a guard not at all.
//
// A stack is used again when the kernel says that its thread is no more; none is unmapped: who
// collects contexts may still look into it. In a forked child those of the parent's threads are
// free.
#ifndef TASKMEM_SHIM_OWN_THREADS_OWN_STACK_H_
#define TASKMEM_SHIM_OWN_THREADS_OWN_STACK_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace taskmem {

struct OwnStack {
  // The thread that has it, kTaken before it is there, 0 when it is no more; and above that the
  // process. Free is what has no thread, or one of another process: of the parent.
  std::atomic<uint64_t> owner;
  std::atomic<uint64_t> start;  // 0: not mapped
  std::atomic<uint64_t> bytes;  // without its guards

  static constexpr uint32_t kTaken = UINT32_MAX;
};

// One of at least `bytes`, or nullptr: there is no memory, or there are too many. Lock-free. Not
// in a child of vfork.
OwnStack* TakeOwnStack(uint64_t bytes);

// No thread was started on it. One that is too small is unmapped.
void GiveOwnStackBack(OwnStack* stack, bool is_too_small);

// On the thread, at its begin and at its end; the second gives back what it needs no more.
void BeginOnOwnStack(OwnStack* stack);
void EndOnOwnStack(OwnStack* stack);

// In a forked child, on the thread that forked.
void OwnStacksAfterForkInChild();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OWN_THREADS_OWN_STACK_H_
