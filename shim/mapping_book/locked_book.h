// The process's mapping book (accounting/mappings/mapping_book.h) under its one lock.
//
// The lock is not held over a system call, except where a range changes hands in it
// (MAP_FIXED, mremap, shmdt).
//
// A signal handler maps and unmaps where its thread is
//   outside the lock     it waits its turn like anybody, also where its thread waits: what the
//                        thread was about to enter it enters after
//   the lock's holder    it leaves a note of what the kernel did. Its thread goes on only after
//                        it: so notes are left by the holder alone, in the order of the calls
// Whoever enters or leaves the lock applies the notes that are there, oldest first, before anything
// of its own. So what a thread does later, by call or note, is entered later: a call of its own
// enters the lock, and finds no note of its own that is older.
// A note that is left when its thread has looked for the last time waits for CatchUpWithNotes, or
// for any other thread.
//
// A forked child makes the book its own in mapping_call.h.
//
// Lock order: task registry, then this, then the pools'.
#ifndef TASKMEM_SHIM_MAPPING_BOOK_LOCKED_BOOK_H_
#define TASKMEM_SHIM_MAPPING_BOOK_LOCKED_BOOK_H_

#include <atomic>
#include <cstdint>

#include "accounting/base/debug.h"
#include "accounting/base/mutex.h"
#include "accounting/mappings/mapping_book.h"
#include "shim/mapping_book/mapping_notes.h"

namespace taskmem {

// What every call touches, side by side.
struct alignas(64) BookPlace {
  Mutex mutex;
  bool is_made;
  std::atomic<uint64_t> residency_bytes;  // of the book, readable without the lock
  alignas(MappingBook) char book[sizeof(MappingBook)];
};
extern BookPlace g_book_place;
extern MappingNotes g_notes;

// Of ranges that are charged by residency, whatever of them is in memory.
inline uint64_t BytesByResidency() {
  return g_book_place.residency_bytes.load(std::memory_order_relaxed);
}

// This thread holds the lock: what it is asked for now, a signal handler asks.
inline bool HoldsBook() { return g_book_place.mutex.IsHeldByThisThread(); }

// Holds the lock. Not for a thread that is inside already.
class LockedBook {
 public:
  LockedBook() {
    TASKMEM_DCHECK(!HoldsBook());
    if (__builtin_expect(!g_book_place.mutex.TryLock(), 0)) SpinThenLock();
    if (__builtin_expect(!g_book_place.is_made, 0)) Make();
    if (__builtin_expect(!g_notes.IsEmpty(), 0)) ApplyNotes();
  }
  ~LockedBook() {
    if (__builtin_expect(!g_notes.IsEmpty(), 0)) ApplyNotes();
    PublishResidency();
    g_book_place.mutex.Unlock();
  }
  LockedBook(const LockedBook&) = delete;
  LockedBook& operator=(const LockedBook&) = delete;

  MappingBook* operator->() { return reinterpret_cast<MappingBook*>(g_book_place.book); }

  // Anew, and empty. For whoever holds the lock.
  static void Make();

 private:
  static void SpinThenLock();
  static void ApplyNotes();
  void PublishResidency() {
    const uint64_t bytes = (*this)->bytes(ChargeRule::kResidency);
    std::atomic<uint64_t>& published = g_book_place.residency_bytes;
    if (published.load(std::memory_order_relaxed) != bytes) {
      published.store(bytes, std::memory_order_relaxed);
    }
  }
};

// Charges, or for negative bytes credits, the task in `slot`.
void ApplyLength(uint32_t slot, int64_t bytes);

// Notes `event`, for which `ahead` bytes were charged to `slot`. From inside the lock, too.
void NoteEvent(const MappingEvent& event, uint32_t slot, uint64_t ahead);

// From inside the lock only.
void LeaveNote(const MappingEvent& event);
// Those for which there was no memory: the book is not exact any more.
uint64_t LostNotes();

// After the lock was left: for a note that came after that.
inline void CatchUpWithNotes() {
  while (__builtin_expect(!g_notes.IsEmpty(), 0) && !HoldsBook()) LockedBook locked;
}

// After a call that failed amid its work: notes what the kernel says is in [start, end).
void Resynchronise(uint64_t start, uint64_t end);

}  // namespace taskmem

#endif  // TASKMEM_SHIM_MAPPING_BOOK_LOCKED_BOOK_H_
