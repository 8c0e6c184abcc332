// realloc of blocks of more than 128 KiB: without a copy where that can be, charged by the
// difference, with the content right.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

const Environment kNoTasks = {{"TASKMEM_TASK_BY", "thread-name=^no such thread$"}};

class LargeRealloc : public ::testing::TestWithParam<std::vector<std::string>> {};

TEST_P(LargeRealloc, KeepsContentAndBooks) { ExpectSuccess(GetParam(), kNoTasks); }

INSTANTIATE_TEST_SUITE_P(, LargeRealloc,
                         ::testing::Values(std::vector<std::string>{"realloc_large", "quota"},
                                           std::vector<std::string>{"realloc_large", "appends"},
                                           std::vector<std::string>{"realloc_large", "hooks"},
                                           std::vector<std::string>{"realloc_large", "reused"},
                                           std::vector<std::string>{"realloc_large", "returned"}),
                         [](const auto& info) { return info.param[1]; });

// A sample of every block, the usual number, none.
class RandomRealloc : public ::testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(RandomRealloc, KeepsContentAndBooks) {
  Environment environment = kNoTasks;
  environment["TASKMEM_SITES_INTERVAL"] = GetParam().second;
  ExpectSuccess({"realloc_large", "random", GetParam().first}, environment);
}

INSTANTIATE_TEST_SUITE_P(, RandomRealloc,
                         ::testing::Values(std::pair("1", "512K"), std::pair("2", "4K"),
                                           std::pair("3", "1G")),
                         [](const auto& info) {
                           return "seed_" + info.param.first + "_every_" + info.param.second;
                         });

}  // namespace
}  // namespace taskmem::test
