// Signal handlers that allocate.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(Signals, ({
                                    {.name = "segv_handler"},
                                    {.name = "thread_handler"},
                                    {.name = "timer_handler", .arguments = {"prof"}},
                                    {.name = "timer_handler", .arguments = {"real"}},
                                }));

}  // namespace
}  // namespace taskmem::test
