// Looks at what is charged by residency also while the program maps nothing: a thread,
// "taskmem-sampler", that looks once in --residency-interval, or when a task could pass its quota.
//
// There is one only while there is something to look at, in a process that has threads of its own
// or where what is looked at is a task's that has a quota. In another the looks come with mapping
// calls, with the slow path of malloc now and then, at the limit, and from who reads.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_TIMER_H_
#define TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_TIMER_H_

namespace taskmem {

// The program has started a thread. Not in a signal handler.
void NoteProgramsThread();

// Ranges that are charged by residency may have come: looks, where that is due, and starts the
// thread, where there has to be one. No lock may be held.
void NoteResidencyRanges();

// In a forked child: there is no such thread.
void ResidencyTimerAfterFork();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_RESIDENCY_TIMER_H_
