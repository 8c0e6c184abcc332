// operator new and delete follow the C++ standard.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(OperatorNew, ({
                                        {.name = "new_forms"},
                                        {.name = "new_handler"},
                                        {.name = "new_impossible"},
                                        {.name = "own_operator_new"},
                                    }));

TEST(NewOfALibrary, ThrowsByTheRuntimeOfThatLibrary) {
  ExpectSuccess({"new_other_runtime", ProgramPath("other_runtime.so")});
}

}  // namespace
}  // namespace taskmem::test
