// Shared pages of a test's own, and what is taken of them.
#ifndef TASKMEM_SHIM_PAGES_SHARED_PAGES_TESTING_H_
#define TASKMEM_SHIM_PAGES_SHARED_PAGES_TESTING_H_

#include <cstdint>

#include "shim/contexts/allocator_testing.h"
#include "shim/mimalloc/types.h"

namespace taskmem {

class SharedPagesTest : public AllocatorTest {
 protected:
  explicit SharedPagesTest(uint32_t block_size);

  // The one shared page of that size of blocks, with at least that many free ones.
  mi_page_t* SharedPage(uint32_t blocks);

  // A block of it for another task.
  void* TakeShared(Pair* pair, mi_page_t* page);

  // As free() by this thread, of a block in no run.
  static void Free(void* block);

  static uint32_t Length(const mi_page_t* page, const mi_block_t* list);

  const uint32_t block_size_;
  const uint8_t bin_;
};

}  // namespace taskmem

#endif  // TASKMEM_SHIM_PAGES_SHARED_PAGES_TESTING_H_
