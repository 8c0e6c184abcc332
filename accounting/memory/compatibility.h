// One setting: Spark's behaviour to the letter, or taskmem's.
//
// kSpark is Apache Spark 4.2.0 as recorded, its faults included. kTaskmem differs
// in these points, and only in these:
//
//   what                                        kSpark              kTaskmem
//   a waiter's task key vanished (EXEC-4)       kKeyNotFound        registers again
//   storage is released (EXEC-11, X8)           wakes nobody        wakes waiters
//   unmanaged memory falls (UNM-7)              wakes nobody        wakes waiters
//   unmanaged memory and 1/2N (UNM-7, X2, X3)   1/2N of the pool    1/2N of what is left
//   unmanaged memory and the pools (UMM-10)     limits each request limits their sum
//   a task ends (TASK-2) while it waits         waits on            kTaskEnded
//   a task ends (TASK-2), memory still held     counts in N         leaves N
//   a wait ends without a grant (EXEC-6, X7)    key of 0 bytes stays  key goes
//   storage borrowed for a put that fails       stays (UMM-8)       goes back
//   a consumer frees, and is asked again        for ever (TMM-6)    bounded
//   a page has no physical memory (TMM-11)      for ever            bounded, grant returned
//   memory got before a spill failed (TMM-7)    stays charged       is released
//   acquiredButNotUsed after cleanup (TMM-15)   stays               is reset
//
// In both, no lock is held while a consumer spills or a store evicts, and every
// wait may have a deadline and be cancelled.
#ifndef TASKMEM_ACCOUNTING_MEMORY_COMPATIBILITY_H_
#define TASKMEM_ACCOUNTING_MEMORY_COMPATIBILITY_H_

#include <cstdint>

namespace taskmem {

enum class Compatibility : uint8_t { kSpark, kTaskmem };

// How tasks share an execution pool.
enum class Sharing : uint8_t {
  kSpark,  // each of N active tasks gets 1/N at most (EXEC-3)
  kNone,   // first come, first served
  kFair,   // the same, but what other active tasks lack of 1/2N is kept for them
};

}  // namespace taskmem

#endif  // TASKMEM_ACCOUNTING_MEMORY_COMPATIBILITY_H_
