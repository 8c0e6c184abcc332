// The books of a forked child, made when it first needs them: one that does nothing, execs or
// exits has none.
//
//   made by       anything that charges, credits or shows something: the parent's books are
//                 copied, and who its tasks are is as when it was forked
//   settled by    the next call that comes from outside the library and was not interrupted amid
//                 it: what is charged is counted anew, from the pages and the mappings
//   listed        in a file, for others: when 64 KiB were charged or credited, after 100 ms, or
//                 before the child starts a thread
#ifndef TASKMEM_SHIM_BOOKS_AFTER_FORK_H_
#define TASKMEM_SHIM_BOOKS_AFTER_FORK_H_

#include "accounting/base/debug.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

void TakeBooksOver();
void SettleBooks();

// Before anything is written to the books. Anywhere.
inline void EnsureOwnBooks() {
  if (__builtin_expect(!HasOwnBooks(), 0)) TakeBooksOver();
  TASKMEM_DELAY_POINT(own_books);
}

// By calls from outside, before they do anything.
inline void EnsureSettledBooks() {
  if (__builtin_expect(g_fork_page->books.load(std::memory_order_relaxed) != Books::kSettled, 0)) {
    SettleBooks();
  }
}

// Before this process has a second thread. No lock is held.
void ListBooks();

// Something is worth to be shown.
void NoteWorthListing();

// A thread enters that was not started through pthread_create.
void NoteUnseenThread();

}  // namespace taskmem

#endif  // TASKMEM_SHIM_BOOKS_AFTER_FORK_H_
