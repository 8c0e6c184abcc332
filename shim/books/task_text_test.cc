#include "shim/books/task_text.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace taskmem {
namespace {

std::string Text(uint64_t id, const char* name) {
  TaskBook book = {};
  book.task_id.store(id);
  memcpy(book.name, name, strnlen(name, TaskBook::kNameBytes));
  return TaskText(book).c_str();
}

TEST(TaskText, SaysWhatTheNumberStandsFor) {
  EXPECT_EQ(Text(42, "query 42"), "task 42 (query 42)");
  EXPECT_EQ(Text(TASKMEM_IMPLICIT_TASK + 4711, "python3"), "tid 4711 (python3)");
  EXPECT_EQ(Text(TASKMEM_IMPLICIT_TASK - 1, ""),
            "task " + std::to_string(TASKMEM_IMPLICIT_TASK - 1) + " ()");
}

// A name as long as there is room has no end of its own.
TEST(TaskText, TakesTheWholeName) {
  const std::string name(TaskBook::kNameBytes, 'x');
  EXPECT_EQ(Text(UINT64_MAX, name.c_str()), "task 18446744073709551615 (" + name + ")");
}

TEST(TaskText, NumberHasThePrefixThatIsAskedFor) {
  char text[32];
  EXPECT_EQ(FormatTaskNumber(text, sizeof(text), 7, ""), 1);
  EXPECT_STREQ(text, "7");
  EXPECT_EQ(FormatTaskNumber(text, sizeof(text), TASKMEM_IMPLICIT_TASK, ""), 5);
  EXPECT_STREQ(text, "tid 0");
}

}  // namespace
}  // namespace taskmem
