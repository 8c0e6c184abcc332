// Who made a thread: a library that keeps a pool of threads for everybody's queries, or the
// program.
#ifndef TASKMEM_SHIM_TASKS_POOL_MAKERS_H_
#define TASKMEM_SHIM_TASKS_POOL_MAKERS_H_

#include <link.h>

#include "shim/heap/upcalls.h"

namespace taskmem {

// By the calling thread's stack: the first module beyond libc, libstdc++ and their kin from which
// pthread_create was called. `caller` is where that returns to. Takes no lock.
// `library` receives a pool's library.
ThreadMaker FindThreadMaker(const void* caller, const link_map** library);

// Of the calling thread, which libc's own pthread_create made, past this library's (found by
// dlsym(RTLD_NEXT), or by a library that was opened with RTLD_DEEPBIND): by its stack's outermost
// module beyond libc, whose function it runs. Takes no lock.
ThreadMaker FindMakerOfUnseen();

// Of a library with that file name; a nullptr or an empty one is the program's.
ThreadMaker MakerByName(const char* path);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_TASKS_POOL_MAKERS_H_
