#include "shim/base/environment.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace taskmem {
namespace {

TEST(Environment, AnOrdinaryProgramReadsIt) {
  setenv("TASKMEM_PLUGIN", "/a/b", 1);
  EXPECT_FALSE(IsPrivileged());
  EXPECT_STREQ(EnvironmentVariable("TASKMEM_PLUGIN"), "/a/b");
  EXPECT_EQ(EnvironmentVariable("TASKMEM_NO_SUCH"), nullptr);
  unsetenv("TASKMEM_PLUGIN");
}

TEST(Environment, APrivilegedProgramDoesNot) {
  setenv("TASKMEM_PLUGIN", "/a/b", 1);
  EXPECT_EQ(EnvironmentVariable("TASKMEM_PLUGIN", /*is_privileged=*/true), nullptr);
  unsetenv("TASKMEM_PLUGIN");
}

TEST(Environment, VariablesAreForgotten) {
  setenv("A_VARIABLE", "1", 1);
  setenv("TASKMEM_PLUGIN", "/a/b", 1);
  setenv("TASKMEM_SESSION", "x", 1);
  setenv("NOT_TASKMEM_EITHER", "2", 1);
  setenv("TASKMEM_", "3", 1);
  ForgetVariables();
  EXPECT_STREQ(getenv("A_VARIABLE"), "1");
  EXPECT_STREQ(getenv("NOT_TASKMEM_EITHER"), "2");
  for (char** at = environ; *at != nullptr; ++at) {
    EXPECT_FALSE(std::string(*at).starts_with("TASKMEM_")) << *at;
  }
}

}  // namespace
}  // namespace taskmem
