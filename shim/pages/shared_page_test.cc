#include "shim/pages/shared_page.h"

#include <gtest/gtest.h>

#include <memory>

namespace taskmem {
namespace {

struct Free {
  void operator()(PageOwners* owners) const { free(owners); }
};

std::unique_ptr<PageOwners, Free> Owners(uint32_t block_size, uint32_t blocks) {
  auto* const owners = static_cast<PageOwners*>(calloc(1, PageOwners::Bytes(blocks)));
  owners->start = reinterpret_cast<char*>(uintptr_t{1} << 30);
  owners->block_size = block_size;
  owners->blocks = blocks;
  owners->reciprocal = ((uint64_t{1} << 32) + block_size - 1) / block_size;
  return std::unique_ptr<PageOwners, Free>(owners);
}

// For every size that a class may have and every block of the largest page.
TEST(PageOwners, NumbersOfBlocksAreExact) {
  constexpr uint32_t kPageBytes = MI_MEDIUM_PAGE_SIZE;
  for (uint32_t block_size = 8; block_size <= MI_MEDIUM_OBJ_SIZE_MAX; block_size += 8) {
    const uint32_t blocks = kPageBytes / block_size;
    const auto owners = Owners(block_size, 0);
    for (uint32_t i = 0; i < blocks; ++i) {
      ASSERT_EQ(owners->IndexOf(owners->start + uint64_t{i} * block_size), i)
          << block_size << " bytes";
    }
  }
}

TEST(PageOwners, ABlockOfTheLesseeIsTheLessees) {
  const auto owners = Owners(64, 8);
  EXPECT_EQ(owners->MarkOf(3), 0u);
  owners->owner[3] = 12;
  EXPECT_EQ(owners->MarkOf(3), 12u);
  owners->owner[4] = kLesseeMark;
  EXPECT_EQ(owners->MarkOf(4), 0u) << "of a page that is not leased any more";
  owners->lease = 9;
  EXPECT_EQ(owners->MarkOf(4), 9u);
  EXPECT_EQ(&owners->MarkAt(owners->start + 5 * 64), &owners->owner[5]);
}

// Marks are read by the vector: behind the last there is room for one.
TEST(PageOwners, HaveRoomBehindTheLastMark) {
  EXPECT_GE(PageOwners::Bytes(5), sizeof(PageOwners) + (5 + 7) * sizeof(uint16_t));
}

}  // namespace
}  // namespace taskmem
