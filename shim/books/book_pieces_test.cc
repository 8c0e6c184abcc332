#include "shim/books/book_pieces.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

namespace taskmem {
namespace {

constexpr size_t kPiece = 4096;

TEST(BookPieces, WhatIsGivenBackIsTakenNext) {
  BookPieces pieces;
  const MemorySource source = pieces.Source();
  void* const one = source.allocate(kPiece, source.context);
  void* const other = source.allocate(kPiece, source.context);
  ASSERT_NE(one, nullptr);
  EXPECT_NE(one, other);
  source.free(one, source.context);
  source.free(other, source.context);
  EXPECT_EQ(source.allocate(kPiece, source.context), other);
  EXPECT_EQ(source.allocate(100, source.context), one);
}

// More than the first pieces that are mapped at once.
TEST(BookPieces, AreApart) {
  BookPieces pieces;
  const MemorySource source = pieces.Source();
  std::set<char*> taken;
  for (int i = 0; i < 1000; ++i) {
    auto* const piece = static_cast<char*>(source.allocate(kPiece, source.context));
    ASSERT_NE(piece, nullptr);
    memset(piece, 'x', kPiece);
    taken.insert(piece);
  }
  ASSERT_EQ(taken.size(), 1000u);
  char* before = nullptr;
  for (char* const piece : taken) {
    EXPECT_TRUE(before == nullptr || before + kPiece <= piece);
    before = piece;
  }
}

TEST(BookPieces, OfALargerOneTheBeginningIsUsedAgain) {
  BookPieces pieces;
  const MemorySource source = pieces.Source();
  auto* const large = static_cast<char*>(source.allocate(10 * kPiece, source.context));
  ASSERT_NE(large, nullptr);
  memset(large, 'x', 10 * kPiece);
  source.free(large, source.context);
  EXPECT_EQ(source.allocate(kPiece, source.context), large);
}

}  // namespace
}  // namespace taskmem
