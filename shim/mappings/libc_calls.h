// libc's own mapping calls, for code that binds to libc itself (RTLD_DEEPBIND, RTLD_NEXT).
#ifndef TASKMEM_SHIM_MAPPINGS_LIBC_CALLS_H_
#define TASKMEM_SHIM_MAPPINGS_LIBC_CALLS_H_

namespace taskmem {

// Writes jumps from them to ours (glibc/libc.h). What libc maps for itself, the stacks of threads
// above all, stays its own. Called by the constructor, after ResolveLibc, before there are threads.
// False, after one line, where glibc's text cannot be changed.
bool RedirectLibcMappings();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPINGS_LIBC_CALLS_H_
