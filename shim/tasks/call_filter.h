// Whether the system calls of the program are filtered (os.h): seen at the start, and when it
// installs a filter. What it installs by a bare system call is not seen.
#ifndef TASKMEM_SHIM_TASKS_CALL_FILTER_H_
#define TASKMEM_SHIM_TASKS_CALL_FILTER_H_

#include "shim/base/os.h"
#include "shim/books/after_fork.h"
#include "shim/books/pools.h"

namespace taskmem {

// Once, by the constructor.
void OpenCallFilter();

// Around a call that may install a filter, for all threads at once: nothing that it may forbid
// is begun from then on. A forked child makes its books before.
class FilterWatch {
 public:
  FilterWatch(bool installs, bool is_strict)
      : installs_(installs), before_(os::g_call_filter.load(std::memory_order_relaxed)) {
    if (!installs_) return;
    ListBooks();
    LookUpMemory();
    os::g_call_filter.store(os::CallFilter::kInstalled);
    if (is_strict) os::g_has_clock.store(false);
  }
  FilterWatch(const FilterWatch&) = delete;
  FilterWatch& operator=(const FilterWatch&) = delete;
  void NoteFailure() const {
    if (!installs_) return;
    os::g_call_filter.store(before_);
    os::g_has_clock.store(true);
  }

 private:
  const bool installs_;
  const os::CallFilter before_;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_TASKS_CALL_FILTER_H_
