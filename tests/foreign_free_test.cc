// free and realloc of what was never ours, or is ours no more.
#include <algorithm>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

void ExpectOneLine(const Result& result) {
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_TRUE(result.err.starts_with("taskmem: ")) << result.Describe();
  EXPECT_TRUE(result.err.ends_with("\n")) << result.Describe();
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.Describe();
}

class ForeignFree : public ::testing::TestWithParam<std::string> {};

TEST_P(ForeignFree, IsReportedAndSurvived) {
  ExpectOneLine(RunProgram({"foreign_free", GetParam(), "free"}));
}

TEST_P(ForeignFree, IsReportedAndSurvivedWithoutRedirection) {
  ExpectOneLine(
      RunProgram({"foreign_free", GetParam(), "free"}, {{"TASKMEM_REDIRECT_LIBC", "off"}}));
}

TEST_P(ForeignFree, ReallocIsReportedAndFails) {
  ExpectOneLine(RunProgram({"foreign_free", GetParam(), "realloc"}));
}

INSTANTIATE_TEST_SUITE_P(, ForeignFree,
                         ::testing::Values("stack", "static", "mapped", "wild", "wild_high", "code",
                                           "misaligned"),
                         [](const auto& info) { return info.param; });

TEST(GlibcBlocks, AreForwarded) {
  ExpectSuccess({"glibc_blocks", ProgramPath("deepbind_library.so")},
                {{"TASKMEM_REDIRECT_LIBC", "off"}});
}

TEST(GlibcBlocks, AreOursWhereGlibcIsRedirected) {
  ExpectSuccess({"glibc_blocks", ProgramPath("deepbind_library.so")});
}

TEST(DoubleFree, OfASmallBlockIsReportedAndSurvived) {
  ExpectOneLine(RunProgram({"double_free", "small"}));
}

TEST(DoubleFree, OfALargeBlockIsReportedAndSurvived) {
  ExpectOneLine(RunProgram({"double_free", "large"}));
}

}  // namespace
}  // namespace taskmem::test
