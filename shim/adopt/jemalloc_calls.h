// jemalloc's functions over this allocator: what an engine that brings its own jemalloc is given
// instead. As jemalloc(3) has them; arenas and thread caches that flags name do not exist here.
#ifndef TASKMEM_SHIM_ADOPT_JEMALLOC_CALLS_H_
#define TASKMEM_SHIM_ADOPT_JEMALLOC_CALLS_H_

#include <cstddef>

namespace taskmem::adopt {

void* Malloc(size_t size);
void* Calloc(size_t count, size_t size);
void* Realloc(void* block, size_t size);
void Free(void* block);
void FreeSized(void* block, size_t size);
void FreeAlignedSized(void* block, size_t alignment, size_t size);
int PosixMemalign(void** block, size_t alignment, size_t size);
void* Memalign(size_t alignment, size_t size);
void* Valloc(size_t size);
size_t UsableSize(void* block);

// The lowest six bits of `flags` are the binary logarithm of the alignment, the next asks for
// zeroes.
void* Mallocx(size_t size, int flags);
void* Rallocx(void* block, size_t size, int flags);
// Never moves and never shrinks: the answer is the size that is there.
size_t Xallocx(void* block, size_t size, size_t extra, int flags);
size_t Sallocx(void* block, int flags);
void Dallocx(void* block, int flags);
void Sdallocx(void* block, size_t size, int flags);
// What may be used of a block of `size` in any case.
size_t Nallocx(size_t size, int flags);

// mimalloc's, with the alignment last.
void* MallocAligned(size_t size, size_t alignment);
void* ReallocAligned(void* block, size_t size, size_t alignment);

}  // namespace taskmem::adopt

#endif  // TASKMEM_SHIM_ADOPT_JEMALLOC_CALLS_H_
