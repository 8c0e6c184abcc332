// Programs whose system calls are filtered: the library makes none that kills them.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(Filters, ({
                                    {.name = "filtered", .arguments = {"denies", "prctl"}},
                                    {.name = "filtered", .arguments = {"denies", "syscall"}},
                                    {.name = "filtered", .arguments = {"allows", "prctl"}},
                                    {.name = "filtered", .arguments = {"allows", "syscall"}},
                                    {.name = "filtered", .arguments = {"strict", "prctl"}},
                                    {.name = "filtered", .arguments = {"inherited", "prctl"}},
                                    {.name = "filtered", .arguments = {"inherited", "syscall"}},
                                }));

class FiltersAtTheLimit : public ::testing::TestWithParam<std::string> {};

// Also where every block is sampled.
TEST_P(FiltersAtTheLimit, KillNobody) {
  ExpectSuccess({"filtered", GetParam(), "prctl"},
                {{"TASKMEM_QUOTA", "32M"}, {"TASKMEM_SITES_INTERVAL", "4K"}});
}

INSTANTIATE_TEST_SUITE_P(, FiltersAtTheLimit, ::testing::Values("denies", "allows", "inherited"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace taskmem::test
