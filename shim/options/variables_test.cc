#include "shim/options/variables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace taskmem {
namespace {

using testing::Contains;

std::vector<std::string> g_said;

void Note(const char* line) { g_said.push_back(line); }

class VariablesTest : public testing::Test {
 protected:
  ~VariablesTest() override {
    unsetenv("TASKMEM_SAID_UNKNOWN");
    for (const std::string& name : set_) unsetenv(name.c_str());
  }
  void Set(const std::string& name, const char* value = "1") {
    setenv(name.c_str(), value, 1);
    set_.push_back(name);
  }
  static std::vector<std::string> Said() {
    g_said.clear();
    SayUnknownVariables(Note);
    return g_said;
  }

 private:
  std::vector<std::string> set_;
};

TEST_F(VariablesTest, MisspelledOnesAreFound) {
  Set("TASKMEM_QOUTA");
  Set("TASKMEM_TASKBY");
  Set("TASKMEM_NOTHING_LIKE_IT");
  Set("TASKMEM_");
  Set("TASKMEM_" + std::string(300, 'X'));
  Set("OTHER_QUOTA");
  const auto said = Said();
  EXPECT_EQ(said.size(), 5u);
  EXPECT_THAT(said,
              Contains("TASKMEM_QOUTA is not a variable of taskmem: is TASKMEM_QUOTA meant?"));
  EXPECT_THAT(said,
              Contains("TASKMEM_TASKBY is not a variable of taskmem: is TASKMEM_TASK_BY meant?"));
  EXPECT_THAT(said, Contains("TASKMEM_NOTHING_LIKE_IT is not a variable of taskmem"));
}

TEST_F(VariablesTest, KnownOnesAreNot) {
  for (const char* name :
       {"TASKMEM_QUOTA", "TASKMEM_SESSION", "TASKMEM_DEBUG_DELAYS", "TASKMEM_AUDITED_BY"}) {
    Set(name);
  }
  EXPECT_TRUE(Said().empty());
}

TEST_F(VariablesTest, AreSaidOnce) {
  Set("TASKMEM_QOUTA");
  EXPECT_EQ(Said().size(), 1u);
  EXPECT_TRUE(Said().empty());
}

TEST_F(VariablesTest, WhatIsSetIsDescribed) {
  char text[64];
  DescribeSetOptions(text, sizeof(text));
  EXPECT_STREQ(text, "");
  Set("TASKMEM_QUOTA", "64M");
  Set("TASKMEM_LOG", "/tmp/log");
  DescribeSetOptions(text, sizeof(text));
  EXPECT_STREQ(text, " TASKMEM_QUOTA=64M TASKMEM_LOG=/tmp/log");
  char small[20];
  DescribeSetOptions(small, sizeof(small));
  EXPECT_STREQ(small, " TASKMEM_QUOTA=64M ");
}

}  // namespace
}  // namespace taskmem
