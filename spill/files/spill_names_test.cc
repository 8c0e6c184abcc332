#include "spill/files/spill_names.h"

#include <gtest/gtest.h>

#include <climits>
#include <string>

namespace taskmem {
namespace {

std::string TextOf(const SpillDirName& name) {
  char text[kMaxSpillNameBytes];
  WriteSpillDirName(name, text);
  return text;
}

TEST(SpillNames, DirectoriesAreReadBack) {
  for (const SpillDirName& name :
       {SpillDirName{1, 0, 0}, {1234, 567890, 0}, {1234, 567890, 3}, {INT_MAX, UINT64_MAX, 7}}) {
    SpillDirName read;
    ASSERT_TRUE(ParseSpillDirName(TextOf(name), &read)) << TextOf(name);
    EXPECT_EQ(read.pid, name.pid);
    EXPECT_EQ(read.start_time, name.start_time);
    EXPECT_EQ(read.suffix, name.suffix);
  }
  EXPECT_EQ(TextOf({1234, 567890, 0}), "taskmem-1234-567890");
  EXPECT_EQ(TextOf({1234, 567890, 3}), "taskmem-1234-567890-3");
}

TEST(SpillNames, OtherNamesAreNoDirectories) {
  SpillDirName name;
  for (const char* text : {"",
                           "taskmem",
                           "taskmem-",
                           "taskmem-1",
                           "taskmem-1-",
                           "taskmem--1",
                           "taskmem-0-1",
                           "taskmem-01-1",
                           "taskmem-1-01",
                           "taskmem-+1-1",
                           "taskmem- 1-1",
                           "taskmem-1-1 ",
                           "taskmem-1-1-0",
                           "taskmem-1-1-",
                           "taskmem-1-1-2-3",
                           "taskmem-1-1.bak",
                           "Taskmem-1-1",
                           "taskmem-2147483648-1",
                           "taskmem-1-18446744073709551616",
                           "taskmem-1-1-4294967296",
                           "2024-11",
                           "1-1",
                           "taskmem-a-1",
                           "taskmem-1-a"}) {
    EXPECT_FALSE(ParseSpillDirName(text, &name)) << text;
  }
  EXPECT_FALSE(ParseSpillDirName(std::string_view("taskmem-1-1\0", 12), &name));
}

TEST(SpillNames, FilesAreRecognised) {
  char text[kMaxSpillNameBytes];
  for (const uint64_t number : {uint64_t{0}, uint64_t{42}, UINT64_MAX}) {
    for (const bool is_new : {false, true}) {
      WriteBlockFileName(0xabc, number, is_new, text);
      EXPECT_TRUE(IsSpillFileName(text)) << text;
    }
  }
  EXPECT_STREQ(text, "block-0000000000000abc-18446744073709551615.new");
  WriteUnlinkedFileName(UINT32_MAX, text);
  EXPECT_TRUE(IsSpillFileName(text)) << text;
}

TEST(SpillNames, OtherNamesAreNoFiles) {
  for (const char* text :
       {"", "lock", "block", "block-", "block-0000000000000abc", "block-0000000000000abc-",
        "block-0000000000000abc-1.old", "block-0000000000000abc-1.newer",
        "block-0000000000000ABC-1", "block-abc-1", "block-0000000000000abc-01", "unlinked-",
        "unlinked-1.new", "unlinked-4294967296", ".", "..", "notes.txt"}) {
    EXPECT_FALSE(IsSpillFileName(text)) << text;
  }
}

}  // namespace
}  // namespace taskmem
