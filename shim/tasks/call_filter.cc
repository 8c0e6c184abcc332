#include "shim/tasks/call_filter.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "shim/base/next_symbol.h"
#include "shim/published/stats_segment.h"

extern "C" __attribute__((visibility("hidden"))) long (*g_next_syscall)(long, long, long, long,
                                                                        long, long, long);

namespace taskmem {
namespace {

long ToErrno(long result) {
  if (!os::Failed(result)) return result;
  errno = static_cast<int>(-result);
  return -1;
}

long BareSyscall(long number, long a, long b, long c, long d, long e, long f) {
  return ToErrno(os::Call(number, a, b, c, d, e, f));
}

}  // namespace

void OpenCallFilter() {
  if (void* next = NextSymbol("syscall")) {
    g_next_syscall = reinterpret_cast<decltype(g_next_syscall)>(next);
  }
  // The first thread has the number of the process.
  os::g_knows_thread_id.store(os::ThreadIdOfControlBlock() == static_cast<int>(g_stats->pid));
  // Fails where there are no filters, and where one forbids this very call.
  const long mode = os::Call(SYS_prctl, PR_GET_SECCOMP);
  if (mode != SECCOMP_MODE_DISABLED && mode != -EINVAL) {
    os::g_call_filter.store(os::CallFilter::kInherited);
  }
}

}  // namespace taskmem

extern "C" {

// Where a call of syscall() goes on: another library's, or glibc's own.
long (*g_next_syscall)(long, long, long, long, long, long, long) = taskmem::BareSyscall;

__attribute__((visibility("hidden"))) long TaskmemSeccomp(long /*number*/, long operation,
                                                          long flags, long arguments) {
  const bool is_strict = operation == SECCOMP_SET_MODE_STRICT;
  const taskmem::FilterWatch watch(is_strict || operation == SECCOMP_SET_MODE_FILTER, is_strict);
  const long result = taskmem::os::Call(SYS_seccomp, operation, flags, arguments);
  if (taskmem::os::Failed(result)) watch.NoteFailure();
  return taskmem::ToErrno(result);
}

}  // extern "C"

// glibc has no function for seccomp(). Programs use this one for what they do most, locks above
// all: every other call goes on at once, as it came.
__asm__(R"(
  .pushsection .text.syscall, "ax", @progbits
  .globl syscall
  .type syscall, @function
syscall:
  .cfi_startproc
  endbr64
  cmpl $317, %edi  # SYS_seccomp
  je TaskmemSeccomp
  jmp *g_next_syscall(%rip)
  .cfi_endproc
  .size syscall, .-syscall
  .popsection
)");
static_assert(SYS_seccomp == 317);
