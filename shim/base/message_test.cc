#include "shim/base/message.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace taskmem {
namespace {

TEST(Message, IsOneLineWithAPrefix) {
  testing::internal::CaptureStderr();
  errno = ERANGE;
  Message("%s %d", "answer", 42);
  EXPECT_EQ(errno, ERANGE);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "taskmem: answer 42\n");
}

TEST(Message, ALongOneIsCut) {
  for (const size_t length : {500u, 501u, 502u, 503u, 5000u}) {
    const std::string text(length, 'x');
    testing::internal::CaptureStderr();
    Message("%s", text.c_str());
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "taskmem: " + text.substr(0, 501) + "\n");
  }
}

}  // namespace
}  // namespace taskmem
