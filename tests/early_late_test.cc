// Allocation before the first constructor, after main, and in libraries that
// come and go in between.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(
    EarlyLate,
    ({
        {.name = "deepbind", .library = "deepbind_library.so"},
        {.name = "dlopen_at_exit", .library = "constructor_library.so"},
        {.name = "dlopen_cycle", .library = "constructor_library.so"},
        {.name = "dlsym_errors"},
        {.name = "exit_handlers"},
        {.name = "late_next", .library = "late_next_library.so"},
        {.name = "plain_start", .library = "constructor_library.so", .library_preloaded = true},
        {.name = "preinit"},
        {.name = "quick_exit"},
        {.name = "static_tls", .library = "static_tls_library.so"},
    }));

}  // namespace
}  // namespace taskmem::test
