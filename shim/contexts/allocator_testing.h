// An allocator of one thread, for unit tests of its parts: the thread has a context, tasks begin
// and have books, and no pool limits them. What stands above the part that is tested says, unless
// the test links it, that there is nothing: no overflow file, no hooks, no other answer.
#ifndef TASKMEM_SHIM_CONTEXTS_ALLOCATOR_TESTING_H_
#define TASKMEM_SHIM_CONTEXTS_ALLOCATOR_TESTING_H_

#include <gtest/gtest.h>

#include <cstdint>

#include "shim/contexts/borrow.h"
#include "shim/contexts/context.h"
#include "shim/published/stats_segment.h"

namespace taskmem {

// The allocator is the process's: what a test takes it gives back.
class AllocatorTest : public testing::Test {
 protected:
  AllocatorTest();

  // A task of this thread's context, which does not end.
  static Pair* BeginTask(uint64_t quota_bytes = kNoQuota);

  static uint64_t Charged(const Pair* pair) { return g_books[pair->slot].charged_bytes; }

 private:
  static Context* OpenContext();

 protected:
  Context* const context_;

 private:
  const InsideAllocator inside_;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_CONTEXTS_ALLOCATOR_TESTING_H_
