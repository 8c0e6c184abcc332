// What glibc's manual and glibc's own tests promise of malloc and its kin.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(MallocContract, ({
                                           {.name = "aligned_after_growth"},
                                           {.name = "aligned_alloc_corners"},
                                           {.name = "alignment_matrix"},
                                           {.name = "big_alignment"},
                                           {.name = "calloc_zeroes"},
                                           {.name = "errno_on_failure"},
                                           {.name = "errno_on_success"},
                                           {.name = "libc_names"},
                                           {.name = "own_malloc"},
                                           {.name = "page_alignment"},
                                           {.name = "posix_memalign_errors"},
                                           {.name = "realloc_keeps_content"},
                                           {.name = "realloc_to_zero_frees"},
                                           {.name = "size_overflow"},
                                           {.name = "size_zero"},
                                           {.name = "sized_free"},
                                           {.name = "tuning_calls", .writes_errors = true},
                                           {.name = "usable_size"},
                                           {.name = "whole_segment"},
                                       }));

// Blocks of one page with several owners, and all of them samples.
class AlignmentOfTasks : public ::testing::TestWithParam<std::string> {};

TEST_P(AlignmentOfTasks, IsWhatWasAskedFor) {
  ExpectSuccess({"alignment_matrix", "tasks"}, {{"TASKMEM_TASK_BY", "thread-name=^no such thread$"},
                                                {"TASKMEM_SITES_INTERVAL", GetParam()}});
}

INSTANTIATE_TEST_SUITE_P(, AlignmentOfTasks, ::testing::Values("512K", "4K"),
                         [](const auto& info) { return "every_" + info.param; });

}  // namespace
}  // namespace taskmem::test
