// What blocks that are not small and not plain cost: instructions, copies, resident bytes.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

// Of a malloc and a free. The samples of allocation sites are fewer per pair the faster these
// are: they have a budget of their own (accounting/audit/sample_clock_test.cc).
class Instructions : public ::testing::TestWithParam<std::pair<std::string, std::string>> {};

TEST_P(Instructions, StayWithinTheirBudget) {
  ExpectSuccess({"pair_costs", "instructions", GetParam().first, GetParam().second},
                {{"TASKMEM_SITES", "off"}});
}

INSTANTIATE_TEST_SUITE_P(, Instructions,
                         ::testing::Values(std::pair("large", "3000"), std::pair("larger", "5500"),
                                           std::pair("huge", "4000"), std::pair("calloc", "165"),
                                           std::pair("medium", "450"),
                                           std::pair("aligned_64", "180"),
                                           std::pair("aligned_4096", "450")),
                         [](const auto& info) { return info.param.first; });

TEST(Growing, InStepsMovesLittle) { ExpectSuccess({"pair_costs", "steps"}); }
TEST(LargeBlocks, ThatAreNotTouchedAreNotInMemory) {
  ExpectSuccess({"pair_costs", "untouched"}, {{"TASKMEM_TASK_BY", "thread-name=^no such thread$"}});
}
TEST(Tables, DoNotGrowWithAddresses) {
  ExpectSuccess({"pair_costs", "addresses"}, {{"TASKMEM_TASK_BY", "thread-name=^no such thread$"}});
}

}  // namespace
}  // namespace taskmem::test
