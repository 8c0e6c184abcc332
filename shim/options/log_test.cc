#include "shim/options/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

namespace taskmem {
namespace {

class LogTest : public testing::Test {
 protected:
  LogTest() {
    const char* dir = getenv("TEST_TMPDIR");
    path_ = std::string(dir != nullptr ? dir : "/tmp") + "/log_test." + std::to_string(getpid());
    unlink(path_.c_str());
    snprintf(options_.log_file, sizeof(options_.log_file), "%s", path_.c_str());
  }
  ~LogTest() override { unlink(path_.c_str()); }

  std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  Options options_;
  std::string path_;
};

TEST_F(LogTest, WritesALineWithTimeProcessThreadAndLevel) {
  OpenLog(options_);
  errno = 5;
  LogLine(Log(), LogLevel::kWarn, "task %d refused", 7);
  EXPECT_EQ(errno, 5);
  ASSERT_EQ(Lines().size(), 1u);
  EXPECT_TRUE(std::regex_match(
      Lines()[0], std::regex(R"(20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d\.\d{3}Z )"
                             R"(\d+\.\d+ warn task 7 refused)")))
      << Lines()[0];
  // The date is today's.
  char today[16];
  const time_t now = time(nullptr);
  strftime(today, sizeof(today), "%Y-%m-%d", gmtime(&now));
  EXPECT_EQ(Lines()[0].substr(0, 10), today);
}

TEST_F(LogTest, KeepsTheLevelAndAppends) {
  options_.log_level = LogLevel::kWarn;
  OpenLog(options_);
  EXPECT_FALSE(Log()->Wants(LogLevel::kInfo));
  LogLine(Log(), LogLevel::kInfo, "not this");
  LogLine(Log(), LogLevel::kError, "this");
  OpenLog(options_);
  LogLine(Log(), LogLevel::kError, "and this");
  EXPECT_EQ(Lines().size(), 2u);
}

TEST_F(LogTest, ALineStaysOneLine) {
  OpenLog(options_);
  LogLine(Log(), LogLevel::kError, "a\nb\x1b[31m %s", std::string(2000, 'x').c_str());
  ASSERT_EQ(Lines().size(), 1u);
  EXPECT_NE(Lines()[0].find("a?b?[31m xxx"), std::string::npos);
}

TEST_F(LogTest, AFileThatCannotBeWrittenIsNotWanted) {
  snprintf(options_.log_file, sizeof(options_.log_file), "/nowhere/at/all");
  testing::internal::CaptureStderr();
  OpenLog(options_);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "taskmem: cannot write the log /nowhere/at/all: No such file or directory; nothing is "
            "logged\n");
  EXPECT_FALSE(Log()->Wants(LogLevel::kError));
}

}  // namespace
}  // namespace taskmem
