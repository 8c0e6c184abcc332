#include "shim/options/exit_paths.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace taskmem {
namespace {

std::string Parsed(const std::string& pattern) {
  char path[256];
  return ParseExitPath(pattern.c_str(), path, sizeof(path)) ? path : "none";
}

std::string Expanded(const std::string& pattern, const std::string& label) {
  char path[64];
  return ExpandExitPath(pattern.c_str(), 42, label.c_str(), "/usr/bin/java", path, sizeof(path))
             ? path
             : "none";
}

TEST(ExitPaths, AreAbsoluteFromTheStart) {
  char folder[256];
  ASSERT_NE(getcwd(folder, sizeof(folder)), nullptr);
  EXPECT_EQ(Parsed("/tmp/%p-%l.json"), "/tmp/%p-%l.json");
  EXPECT_EQ(Parsed("here.json"), std::string(folder) + "/here.json");
  EXPECT_EQ(Parsed("/100%%"), "/100%%");
  for (const char* bad : {"/%", "/%d", "/%%%", "/%P"}) EXPECT_EQ(Parsed(bad), "none") << bad;
  EXPECT_EQ(Parsed("/" + std::string(256, 'x')), "none");
}

TEST(ExitPaths, NameProcessAndLabel) {
  EXPECT_EQ(Expanded("/d/%p-%l.json", "executor 3"), "/d/42-executor 3.json");
  EXPECT_EQ(Expanded("/d/%p-%l.json", ""), "/d/42-java.json");
  EXPECT_EQ(Expanded("/d/%%p%p", "x"), "/d/%p42");
}

TEST(ExitPaths, LabelsStayInTheFolder) {
  EXPECT_EQ(Expanded("/d/%l", "../../etc/passwd"), "/d/_._.._etc_passwd");
  EXPECT_EQ(Expanded("/d/%l", ".."), "/d/_.");
  EXPECT_EQ(Expanded("/d/%l", std::string(80, 'x')), "none");
}

}  // namespace
}  // namespace taskmem
