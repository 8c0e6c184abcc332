// The program's mappings: what mmap, mremap, munmap, mprotect, madvise, brk and shmat do, and
// what that changes in the books (accounting/mappings/mapping_book.h).
//
//   charge    what the call would make writable, before it is made; it may be refused
//   call      by system call
//   note      in the book, under its one lock; what was charged too much or too little is
//             corrected
//
// A munmap is noted before it is made: the next mmap of another thread may get the same
// addresses (unmapping.h). The lock: locked_book.h.
#ifndef TASKMEM_SHIM_MAPPINGS_MAPPINGS_H_
#define TASKMEM_SHIM_MAPPINGS_MAPPINGS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace taskmem {

// As the functions of libc, with their answers and errno. `caller` is where the call returns
// to: it tells whose mapping it is.
void* MapMemory(void* address, size_t length, int protection, int flags, int fd, off_t offset,
                const void* caller);
int UnmapMemory(void* address, size_t length);
void* RemapMemory(void* address, size_t old_length, size_t new_length, int flags, void* to);
// pkey_mprotect's `key`, or none.
inline constexpr int kNoProtectionKey = -1;
int ProtectMemory(void* address, size_t length, int protection, int key);
int AdviseMemory(void* address, size_t length, int advice);
int SetBreak(void* address, const void* caller);
void* MoveBreak(intptr_t increment, const void* caller);
void* AttachShared(int id, const void* address, int flags, const void* caller);
int DetachShared(const void* address);

// Memory for cached blocks, which the storage is charged for by whoever asks. nullptr: there is
// none.
void* MapStorage(uint64_t bytes);
void UnmapStorage(void* start, uint64_t bytes);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPINGS_MAPPINGS_H_
