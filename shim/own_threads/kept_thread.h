// The thread that lets go of free segments that are kept (segments/kept_segments.h) while the
// program does not allocate: "taskmem-kept". It ends when nothing was kept for two seconds, or when
// all other threads but one have ended.
#ifndef TASKMEM_SHIM_OWN_THREADS_KEPT_THREAD_H_
#define TASKMEM_SHIM_OWN_THREADS_KEPT_THREAD_H_

namespace taskmem {

// Starts it for those that may not: who frees amid a signal handler or on a fiber's stack, and
// threads that block signals for good. Not in a signal handler; no lock may be held.
void StartKeptThreadIfWanted();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_OWN_THREADS_KEPT_THREAD_H_
