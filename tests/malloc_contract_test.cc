// What glibc's manual and glibc's own tests promise of malloc and its kin.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(MallocContract, ({
    {.name = "aligned_alloc_corners"},
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
}));

}  // namespace
}  // namespace taskmem::test
