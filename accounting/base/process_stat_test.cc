#include "accounting/base/process_stat.h"

#include <gtest/gtest.h>

namespace taskmem {
namespace {

constexpr char kText[] =
    "4711 (a) b (c) R 1 4711 4711 0 -1 4194304 95 0 0 0 1 2 3 4 20 0 7 0 123456 8 9\n";

TEST(ProcessStat, FieldsCountFromTheEndOfTheName) {
  EXPECT_EQ(*ProcessStatField(kText, kStatState), 'R');
  EXPECT_EQ(ProcessStatNumber(kText, 4), 1U);
  EXPECT_EQ(ProcessStatNumber(kText, kStatThreadCount), 7U);
  EXPECT_EQ(ProcessStatNumber(kText, kStatStartTime), 123456U);
}

TEST(ProcessStat, FieldsThatAreNotThereAreNone) {
  EXPECT_EQ(ProcessStatField("", kStatState), nullptr);
  EXPECT_EQ(ProcessStatField("4711 (name", kStatState), nullptr);
  EXPECT_EQ(ProcessStatField("4711 (name)", kStatState), nullptr);
  EXPECT_EQ(ProcessStatNumber("4711 (name) R 1", kStatStartTime), 0U);
}

}  // namespace
}  // namespace taskmem
