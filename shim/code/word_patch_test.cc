#include "shim/code/word_patch.h"

#include <gtest/gtest.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim/base/maps_file.h"

namespace taskmem {
namespace {

constexpr size_t kPage = 4096;

int ProtectionOf(const void* address) {
  int protection = -1;
  ForEachMapsLine([&](const MapsLine& line) {
    const auto at = reinterpret_cast<uint64_t>(address);
    if (at >= line.start && at < line.end) protection = line.protection;
    return protection < 0;
  });
  return protection;
}

// Three pages that a library could have: each as a test wants it.
class WriteWordsTest : public testing::Test {
 protected:
  void SetUp() override {
    void* const pages =
        mmap(nullptr, 3 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(pages, MAP_FAILED);
    pages_ = static_cast<char*>(pages);
    for (int i = 0; i < 3; ++i) *Word(i) = this;
  }
  void TearDown() override { munmap(pages_, 3 * kPage); }

  // The last of a page.
  void** Word(int page) const {
    return reinterpret_cast<void**>(pages_ + static_cast<size_t>(page + 1) * kPage) - 1;
  }
  void Protect(int page, int protection) {
    ASSERT_EQ(mprotect(pages_ + static_cast<size_t>(page) * kPage, kPage, protection), 0);
  }
  bool WriteAll() const {
    WordChange changes[3];
    for (int i = 0; i < 3; ++i) changes[i] = {Word(i), pages_};
    return WriteWords(changes, 3);
  }

  char* pages_ = nullptr;
};

TEST_F(WriteWordsTest, WritesAndLeavesWhatIsReadOnlyReadOnly) {
  Protect(0, PROT_READ);
  Protect(2, PROT_READ);
  EXPECT_TRUE(WriteAll());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(*Word(i), pages_);
    EXPECT_EQ(ProtectionOf(Word(i)), i == 1 ? PROT_READ | PROT_WRITE : PROT_READ);
  }
}

TEST_F(WriteWordsTest, WritesNothingWhereOnePlaceIsNotData) {
  Protect(0, PROT_READ);
  for (const int last : {PROT_READ | PROT_EXEC, PROT_NONE}) {
    Protect(2, last);
    EXPECT_FALSE(WriteAll());
    EXPECT_EQ(*Word(0), this);
    EXPECT_EQ(*Word(1), this);
    EXPECT_EQ(ProtectionOf(Word(0)), PROT_READ);
    EXPECT_EQ(ProtectionOf(Word(2)), last);
  }
}

TEST_F(WriteWordsTest, WritesNothingWhereAPlaceIsNotMapped) {
  ASSERT_EQ(munmap(pages_ + 2 * kPage, kPage), 0);
  EXPECT_FALSE(WriteAll());
  EXPECT_EQ(*Word(0), this);
}

TEST_F(WriteWordsTest, WritesNothingWhereAPageCannotBeOpened) {
  char name[] = "/tmp/word_patch_XXXXXX";
  const int fd = mkstemp(name);
  ASSERT_GE(fd, 0);
  unlink(name);
  ASSERT_EQ(ftruncate(fd, kPage), 0);
  // What was opened for reading only cannot be written to through a shared mapping.
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
  const int read_only = open(path, O_RDONLY);
  ASSERT_GE(read_only, 0);
  ASSERT_NE(mmap(pages_ + 2 * kPage, kPage, PROT_READ, MAP_SHARED | MAP_FIXED, read_only, 0),
            MAP_FAILED);
  Protect(0, PROT_READ);
  EXPECT_FALSE(WriteAll());
  EXPECT_EQ(*Word(0), this);
  EXPECT_EQ(*Word(1), this);
  EXPECT_EQ(ProtectionOf(Word(0)), PROT_READ);
  close(read_only);
  close(fd);
}

TEST(FindReferences, FindsWhatTheLoaderFilledIn) {
  void** places[8];
  const size_t count = FindReferences(*_r_debug.r_map, "mprotect", places, 8);
  ASSERT_GT(count, 0u);
  EXPECT_EQ(FindReferences(*_r_debug.r_map, "no_function_of_that_name", places, 8), 0u);
}

}  // namespace
}  // namespace taskmem
