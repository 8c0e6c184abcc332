#include "shim/options/variables.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

namespace taskmem {
namespace {

std::map<std::string, std::string> g_said;

void Note(const char* name, const char* nearest) { g_said[name] = nearest ? nearest : ""; }

class VariablesTest : public testing::Test {
 protected:
  ~VariablesTest() override {
    for (const std::string& name : set_) unsetenv(name.c_str());
  }
  void Set(const std::string& name, const char* value = "1") {
    setenv(name.c_str(), value, 1);
    set_.push_back(name);
  }
  static std::map<std::string, std::string> Unknown() {
    g_said.clear();
    ForEachUnknownVariable(Note);
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
  const auto unknown = Unknown();
  EXPECT_EQ(unknown.size(), 5u);
  EXPECT_EQ(unknown.at("TASKMEM_QOUTA"), "TASKMEM_QUOTA");
  EXPECT_EQ(unknown.at("TASKMEM_TASKBY"), "TASKMEM_TASK_BY");
  EXPECT_EQ(unknown.at("TASKMEM_NOTHING_LIKE_IT"), "");
}

TEST_F(VariablesTest, KnownOnesAreNot) {
  for (const char* name :
       {"TASKMEM_QUOTA", "TASKMEM_SESSION", "TASKMEM_DEBUG_DELAYS", "TASKMEM_AUDITED_BY"}) {
    Set(name);
  }
  EXPECT_TRUE(Unknown().empty());
}

TEST_F(VariablesTest, AreSaidOnce) {
  Set("TASKMEM_QOUTA");
  Set(kSaidUnknownVariable);
  EXPECT_TRUE(Unknown().empty());
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
