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
#ifndef TASKMEM_SHIM_MAPPINGS_H_
#define TASKMEM_SHIM_MAPPINGS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "accounting/audit/audit_layout.h"
#include "accounting/mappings/mapping_tag.h"
#include "shim/fold.h"

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

// Called by the constructor, once there are tasks. Calls before are charged to nobody's task.
void OpenMappings(int64_t residency_interval_ns);

// Memory for cached blocks, which the storage is charged for by whoever asks. nullptr: there is
// none.
void* MapStorage(uint64_t bytes);
void UnmapStorage(void* start, uint64_t bytes);

// For fork(): the last lock that is taken.
void AddMappingLocks(class ForkLocks* locks);
// In a forked child, once: what it has not inherited is no more, and shared memory is the
// parent's. Not from inside the lock.
void AdaptMappingsAfterFork();

// The slots of `from` are given to others: what they map belongs to `to`.
void FoldMappings(const SlotSet& from, uint32_t to);

// Adds what the mappings of each slot are charged with.
void AddMappedBytes(uint64_t* bytes_by_slot);

// Whether the program mapped `address`, and who is or would be charged.
bool OwnerOfMapping(const void* address, uint32_t* slot);

struct MappedRange {
  uint64_t start;
  uint64_t end;
  MappingTag tag;  // LibraryAt(tag.library) in callers.h
};
// Copies ranges that end above `from`, in order. Returns how many.
uint32_t ReadMappings(uint64_t from, MappedRange* ranges, uint32_t most);

// How many bytes of ranges are charged by that rule.
uint64_t MappedBytes(ChargeRule rule);
// Calls that could not be noted: the book is not exact any more. 0, but for a system
// without memory.
uint64_t LostMappingEvents();

// For readers in other processes: where the ranges and the libraries are.
void DescribeMappings(AuditLayout* layout);

// Whether this thread, interrupted by a signal handler, holds the lock: nothing here that
// takes it may be called then, but for the calls themselves.
bool IsInsideMappings();
// This thread is amid a call that maps or unmaps: a signal handler may ask.
bool IsAmidMappingCall();

// Runs `step` with the lock held: for residency.cc, which settles there what it has counted.
void WithMappingsLocked(void (*step)(void*), void* argument);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPINGS_H_
