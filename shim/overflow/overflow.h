// The overflow file's part that is not the allocator's: how it is opened, and what a fork does.
// What the allocator asks of it: upcalls.h; what is counted: overflow_book.h.
#ifndef TASKMEM_SHIM_OVERFLOW_OVERFLOW_H_
#define TASKMEM_SHIM_OVERFLOW_OVERFLOW_H_

#include "shim/options/options.h"

namespace taskmem {

// At start-up, once: remembers the options. Makes no file yet.
void OpenOverflow(const Options& options);

void AddOverflowLocks(class ForkLocks* locks);
// Of the thread that forked, with no lock held.
void OverflowAwaitChild();
// In the child: before anything is looked at that lies in the file, and after everything.
void OverflowRestoreInChild();
void OverflowRestartInChild();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OVERFLOW_OVERFLOW_H_
