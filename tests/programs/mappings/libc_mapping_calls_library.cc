// A library whose mapping calls, when it is opened with RTLD_DEEPBIND, bind to libc's own; and
// which finds libc's by RTLD_NEXT.
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/programs/mappings/libc_mapping_calls.h"

extern "C" __attribute__((visibility("default"))) void FindCalls(bool by_next,
                                                                 MappingCalls* calls) {
  *calls = {mmap, munmap, mremap, mprotect, madvise, sbrk};
  if (!by_next) return;
  calls->map = reinterpret_cast<decltype(calls->map)>(dlsym(RTLD_NEXT, "mmap"));
  calls->unmap = reinterpret_cast<decltype(calls->unmap)>(dlsym(RTLD_NEXT, "munmap"));
  calls->remap = reinterpret_cast<decltype(calls->remap)>(dlsym(RTLD_NEXT, "mremap"));
  calls->protect = reinterpret_cast<decltype(calls->protect)>(dlsym(RTLD_NEXT, "mprotect"));
  calls->advise = reinterpret_cast<decltype(calls->advise)>(dlsym(RTLD_NEXT, "madvise"));
  calls->move_break = reinterpret_cast<decltype(calls->move_break)>(dlsym(RTLD_NEXT, "sbrk"));
}
