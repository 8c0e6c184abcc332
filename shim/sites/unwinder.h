// Who called: the return addresses of the calling thread's stack.
//
// Reads the unwind tables (.eh_frame) that compilers write for every function, with or
// without frame pointers. Unlike the unwinders of libc's and GCC's libraries it takes no
// lock, allocates nothing and makes no system call but to read the stack, so that it can run
// amid malloc: below dlopen, in signal handlers, on any stack, while other threads hold the
// loader's locks. Modules come from _dl_find_object, which is made for that.
//
// It stops, and says so, at code of no module (what a JIT compiler generated) and at what it
// does not understand. Only what is known to be readable is read: a wrong step costs the rest
// of the frames, never the process.
#ifndef TASKMEM_SHIM_SITES_UNWINDER_H_
#define TASKMEM_SHIM_SITES_UNWINDER_H_

#include <cstddef>
#include <cstdint>

#include "shim/sites/frame_rules.h"

namespace taskmem {

struct StackPlace {
  uint64_t ip;
  uint64_t sp;
  uint64_t bp;
};

// Where the caller stands.
__attribute__((always_inline)) inline StackPlace HereOnStack() {
  StackPlace here;
  __asm__ volatile("leaq 0(%%rip), %0" : "=r"(here.ip));
  __asm__ volatile("movq %%rsp, %0" : "=r"(here.sp));
  __asm__ volatile("movq %%rbp, %0" : "=r"(here.bp));
  return here;
}

// Scratch memory, so that the thread's own stack, which may be a small one, is spared.
struct UnwindScratch {
  // [readable_start, stack_top) of the thread's stack is known to be readable.
  uint64_t stack_top;
  uint64_t readable_start;
  // A copy of a part of another stack.
  uint64_t window_start;
  uint64_t window_bytes;
  uint64_t window[512];
  // Of the frame that is looked at.
  FrameRules rules;
  TaskmemFrameScratch search;
};

// Says where the calling thread's own stack ends, so that it is read without system calls.
// Others, of signal handlers and fibers, are read through the kernel; where system calls are
// filtered, they are cut at the end of the page. `known_bytes` below `stack_top` are readable,
// if the thread runs there.
void PrepareToUnwind(uint64_t stack_top, uint64_t known_bytes, UnwindScratch* scratch);

// The stack from `place` on, the innermost first, without the frames of the library itself at
// its beginning. At most `most` frames; the first may be an instruction's own address, all
// others are return addresses. Returns how many; `flags` receives a SiteFlags
// (accounting/audit/site_table.h).
uint32_t Unwind(const StackPlace& place, UnwindScratch* scratch, uint64_t* frames, uint32_t most,
                uint32_t* flags);

// A module was unmapped: another may come to lie at the addresses whose rules are remembered.
// Safe at any time, also while others unwind.
void ForgetRules();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_SITES_UNWINDER_H_
