#include "tools/base/text_table.h"

#include <gtest/gtest.h>

#include "tests/support/text_lines.h"
#include "tools/base/cells.h"

namespace taskmem {
namespace {

using test::Lines;

TEST(Shortened, LacksItsMiddle) {
  EXPECT_EQ(Shortened("stage 17.0, task 4", 18), "stage 17.0, task 4");
  EXPECT_EQ(Shortened("stage 17.0, task 4", 12), "stage…task 4");
  EXPECT_EQ(Shortened("äöüäöüäöü", 5), "äö…öü");
  EXPECT_EQ(Shortened("a\x1b[31mb", 20), "a?[31mb");
}

TEST(FormatTable, DropsColumnsThatSayNothing) {
  const std::vector<Column> columns = {
      {"name", Align::kLeft}, {"quota", Align::kRight, true}, {"peak", Align::kRight, true}};
  EXPECT_EQ(FormatTable(columns, {{"a", "-", "1 B"}, {"b", "-", "-"}}, 80),
            "  name  peak\n  a      1 B\n  b        -\n");
}

TEST(FormatTable, ShortensNamesToTheWidth) {
  const std::vector<Column> columns = {{"name", Align::kLeft, false, true}, {"peak"}};
  const std::string name(100, 'n');
  for (const size_t width : {30, 80, 120}) {
    for (const std::string& line : Lines(FormatTable(columns, {{name, "1023.9 MiB"}}, width))) {
      EXPECT_LE(line.size(), width + 2) << line;  // the ellipsis has three bytes
    }
  }
}

TEST(FormatTable, CountsColumnsOfTheScreen) {
  const std::vector<Column> columns = {{"name", Align::kLeft, false, true}, {"peak"}};
  EXPECT_EQ(FormatTable(columns, {{"große", "1 B"}, {"查询", "2 B"}, {"plain", "3 B"}}, 80),
            "  name   peak\n  große   1 B\n  查询    2 B\n  plain   3 B\n");
  std::string name;
  for (int i = 0; i < 50; ++i) name += "询";
  for (const std::string& line : Lines(FormatTable(columns, {{name, "1 B"}}, 30))) {
    EXPECT_LE(CellsOf(line), 32u) << line;
  }
}

TEST(Wrapped, BreaksAfterMarksAndAtSpaces) {
  EXPECT_EQ(Wrapped("short", 80, 4, Breaks::kAfterMarks), "short");
  constexpr char kText[] = "spilled 1 of 2, once; evicted 3; wrote 4";
  EXPECT_EQ(Wrapped(kText, 25, 4, Breaks::kAfterMarks),
            "spilled 1 of 2, once;\n    evicted 3; wrote 4");
  EXPECT_EQ(Wrapped(kText, 30, 0, Breaks::kAtSpaces), "spilled 1 of 2, once; evicted\n3; wrote 4");
  EXPECT_EQ(Wrapped("one two three", 8, 2, Breaks::kAfterMarks), "one two\n  three");
}

TEST(Wrapped, LeavesALongWordWhole) {
  const std::string word(100, 'w');
  EXPECT_EQ(Wrapped(word, 80, 4, Breaks::kAfterMarks), word);
  EXPECT_EQ(Wrapped("a " + word + " b c", 80, 2, Breaks::kAtSpaces), "a\n  " + word + "\n  b c");
}

}  // namespace
}  // namespace taskmem
