// Threads: however they begin and end, and whoever frees what they allocate.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(Threads, ({
    {.name = "c11_threads"},
    {.name = "cancelled_calls", .writes_errors = true, .data_limit_bytes = 0},
    {.name = "detached_threads"},
    {.name = "hand_over"},
    {.name = "key_count"},
    {.name = "key_destructors"},
    {.name = "main_exits_first"},
    // Address space is not the point here: 2,000 heaps reserve much and use little.
    {.name = "many_threads", .data_limit_bytes = 0},
    {.name = "thread_ends"},
    {.name = "thread_local_destructors"},
}));

}  // namespace
}  // namespace taskmem::test
