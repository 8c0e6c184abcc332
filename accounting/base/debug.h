// Checks and delays of the debug library (libtaskmem_debug.so; --config=debug). In the
// ordinary library both are nothing.
//
//   TASKMEM_DCHECK(condition)   what must hold; where it does not, one line and an abort
//   TASKMEM_DELAY_POINT(name)   a place where a thread may lose its processor: it does, for a
//                               random time, as TASKMEM_DEBUG_DELAYS says
//
// TASKMEM_DEBUG_DELAYS=PER_MILLE:MICROSECONDS[:SEED[:NAME]] makes so many of 1,000 passes wait
// up to so long; with a name, only at points whose name begins with it.
#ifndef TASKMEM_ACCOUNTING_BASE_DEBUG_H_
#define TASKMEM_ACCOUNTING_BASE_DEBUG_H_

#ifdef TASKMEM_DEBUG

namespace taskmem {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
void DelayHere(const char* name);
}  // namespace taskmem

#define TASKMEM_DCHECK(condition)                                                           \
  (__builtin_expect(!(condition), 0) ? taskmem::CheckFailed(__FILE__, __LINE__, #condition) \
                                     : (void)0)
#define TASKMEM_DELAY_POINT(name) taskmem::DelayHere(#name)

#else

#define TASKMEM_DCHECK(condition) ((void)0)
#define TASKMEM_DELAY_POINT(name) ((void)0)

#endif

#endif  // TASKMEM_ACCOUNTING_BASE_DEBUG_H_
