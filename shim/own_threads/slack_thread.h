// The thread that lets slack (slack.h) decay while the program does not allocate.
#ifndef TASKMEM_SHIM_OWN_THREADS_SLACK_THREAD_H_
#define TASKMEM_SHIM_OWN_THREADS_SLACK_THREAD_H_

namespace taskmem {

// A thread of the program ends, or may sleep from now on: starts the thread that lets slack
// decay, "taskmem-decay", where there is some. It ends when there is none, or when all other
// threads but one have ended. Not in a signal handler; no lock may be held.
void NoteSlackAtRest();

// In a forked child: there is no such thread.
void SlackAfterFork();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OWN_THREADS_SLACK_THREAD_H_
