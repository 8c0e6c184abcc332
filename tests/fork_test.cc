// fork and its relatives: the child works, and the books are each process's own.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(Fork, ({
    {.name = "concurrent_forks"},
    {.name = "fork_frees_parents_blocks"},
    {.name = "fork_while_allocating"},
    {.name = "raw_clone"},
    {.name = "spawn"},
}));

TEST(ForkBooks, OfAForkedChildAreItsOwn) { ExpectSuccess({"fork_books", "fork"}); }

TEST(ForkBooks, OfAClonedChildAreItsOwn) { ExpectSuccess({"fork_books", "clone"}); }

TEST(ForkBooks, OfAVforkChildAreItsParents) { ExpectSuccess({"vfork_books"}); }

}  // namespace
}  // namespace taskmem::test
