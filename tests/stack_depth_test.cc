// Fibers may have a stack of one page: what calls of the allocator take of it. The program is
// tests/programs/startup/stack_depth.cc; each run prints its figures.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

constexpr const char* kMost = "2048";
constexpr const char* kMostAtLimit = "3072";

void ExpectWithin(const std::string& state, const char* most_bytes, Environment environment = {}) {
  // The dynamic linker takes more.
  environment.try_emplace("LD_BIND_NOW", "1");
  environment.try_emplace("TASKMEM_MEMORY", "4G");
  const Result result = RunProgram({"stack_depth", state, most_bytes}, environment);
  fputs(result.out.c_str(), stdout);
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
}

TEST(StackDepth, OfTheSlowPath) { ExpectWithin("room", kMost); }

TEST(StackDepth, WithSamples) {
  ExpectWithin("room", kMost, {{"TASKMEM_SITES", "on"}, {"TASKMEM_SITES_INTERVAL", "4K"}});
}

TEST(StackDepth, WithLooksAtResidency) {
  ExpectWithin("looks", kMost, {{"TASKMEM_RESIDENCY_INTERVAL", "1ms"}});
}

TEST(StackDepth, OfRefusals) { ExpectWithin("limit", kMostAtLimit); }

TEST(StackDepth, OfLoggedRefusals) {
  TemporaryFolder folder;
  ExpectWithin("limit, log", kMostAtLimit,
               {{"TASKMEM_LOG", folder.path() + "/log"}, {"TASKMEM_LOG_LEVEL", "debug"}});
}

TEST(StackDepth, OfLooksAtTheLimit) {
  TemporaryFolder folder;
  ExpectWithin("limit, looks", kMostAtLimit,
               {{"TASKMEM_LOG", folder.path() + "/log"}, {"TASKMEM_RESIDENCY_INTERVAL", "1ms"}});
}

TEST(StackDepth, OfOverflow) {
  TemporaryFolder folder;
  ExpectWithin("limit, overflow", kMostAtLimit,
               {{"TASKMEM_OVERFLOW", "1"},
                {"TASKMEM_SPILL_DIR", folder.path()},
                {"TASKMEM_LOG", folder.path() + "/log"}});
}

}  // namespace
}  // namespace taskmem::test
