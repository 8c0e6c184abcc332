// taskmem.h: pages and encoded addresses.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TEST(PageApi, PagesAreNumberedChargedAndFreedOnce) { ExpectSuccess({"pages"}); }

TEST(PageApi, AnyAddressOfATaskIsEncoded) { ExpectSuccess({"encode_addresses"}); }

TEST(PageApi, NumbersRunOutAndComeBack) { ExpectSuccess({"page_numbers"}); }

TEST(PageApi, TasksEndWhilePagesAreMade) { ExpectSuccess({"pages_end_races"}); }

TEST(PageApi, OfAForkedChildIsItsOwn) { ExpectSuccess({"pages_after_fork", "fork"}); }

TEST(PageApi, OfAClonedChildIsItsOwn) { ExpectSuccess({"pages_after_fork", "clone"}); }

// With a limit that all pass now and then.
TEST(PageApi, HoldsWhereMemoryIsShort) {
  ExpectSuccess({"encode_addresses"}, {{"TASKMEM_MEMORY", "1M"}, {"TASKMEM_AT_LIMIT", "overdraw"}});
}

class PageApiInParallel : public ::testing::TestWithParam<std::string> {};

TEST_P(PageApiInParallel, NumbersAreEachPagesOwn) {
  const Result result = RunProgram({"pages_in_parallel", GetParam()});
  EXPECT_TRUE(result.Succeeded()) << result.Describe();
  EXPECT_EQ(result.err, "");
}

INSTANTIATE_TEST_SUITE_P(, PageApiInParallel, ::testing::Values("1", "20240607"),
                         [](const auto& info) { return "seed_" + info.param; });

}  // namespace
}  // namespace taskmem::test
