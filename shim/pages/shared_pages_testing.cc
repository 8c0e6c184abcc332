#include "shim/pages/shared_pages_testing.h"

#include "shim/mimalloc/embed.h"
#include "shim/mimalloc/hot.h"
#include "shim/mimalloc/seams.h"
#include "shim/pages/shared_page.h"
#include "shim/pages/shared_takes.h"
#include "shim/segments/page_memory.h"

namespace taskmem {

// Here all pages are shared or leased.
void ReleasePage(mi_page_t* page, bool force, mi_segments_tld_t* tld) {
  PageMap::Clear(OwnersOf(page)->start, page->slice_count);
  DropOwners(page);
  GivePageMemory(page, force, tld);
}

SharedPagesTest::SharedPagesTest(uint32_t block_size)
    : block_size_(block_size), bin_(BinOf(block_size)) {}

mi_page_t* SharedPagesTest::SharedPage(uint32_t blocks) {
  mi_page_t* page = FirstWithFree(&context_->shared, bin_);
  while (page == nullptr || page->capacity < page->used + blocks) {
    page = GrowShared(&context_->shared, bin_);
  }
  _mi_page_free_collect(page, /*force=*/true);  // into one list
  return page;
}

void* SharedPagesTest::TakeShared(Pair* pair, mi_page_t* page) {
  void* block = nullptr;
  EXPECT_EQ(taskmem::TakeShared(context_, pair, bin_, page, block_size_, false,
                                ChargeMode::kWithinQuota, &block),
            Outcome::kDone);
  return block;
}

void SharedPagesTest::Free(void* block) {
  mi_page_t* const page = _mi_ptr_page(block);
  EXPECT_TRUE(ClearOwner(page, block));
  OwnersOf(page)->unsettled = true;
  FreeBlockOfPage(page, static_cast<mi_block_t*>(block));
}

uint32_t SharedPagesTest::Length(const mi_page_t* page, const mi_block_t* list) {
  uint32_t count = 0;
  for (const mi_block_t* at = list; at != nullptr; at = mi_block_next(page, at)) ++count;
  return count;
}

}  // namespace taskmem
