// fork and its relatives: the child works, and the books are each process's own.
#include <cstdlib>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TASKMEM_CONTRACT_TESTS(
    Fork,
    ({
        {.name = "concurrent_forks"},
        {.name = "fork_frees_parents_blocks"},
        {.name = "fork_handlers", .library = "fork_handlers_library.so", .library_preloaded = true},
        {.name = "fork_in_handler", .arguments = {"fork"}},
        {.name = "fork_in_handler", .arguments = {"mmap"}},
        {.name = "fork_stdio"},
        {.name = "fork_while_allocating"},
        {.name = "raw_clone"},
        {.name = "spawn"},
    }));

// glibc's own malloc waits for itself there.
TEST(ForkInHandlers, AmidMalloc) { ExpectSuccess({"fork_in_handler", "malloc"}); }

TEST(ForkInHandlers, AmidCollecting) { ExpectSuccess({"fork_in_handler", "collect"}); }

TEST(ForkInHandlers, AmidBeginningsAndEndsOfThreads) {
  ExpectSuccess({"fork_in_handler", "begin"});
}

TEST(ForkInHandlers, OnSeveralThreads) { ExpectSuccess({"fork_in_handler", "threads"}); }

// The last numbers are the most system calls of a child that does nothing, and of its parent.
TEST(ForkCalls, AreFewWithoutThreads) { ExpectSuccess({"fork_calls", "0", "4", "8"}); }

TEST(ForkCalls, AreFewWithThreads) { ExpectSuccess({"fork_calls", "4", "6", "12"}); }

// Of the parent and of a child that does nothing. The checks of the debug library touch pages, too.
bool IsUsersLibrary() { return getenv("TASKMEM_TEST_LIBRARY") == nullptr; }

TEST(ForkFaults, AreFewWithoutThreads) {
  if (!IsUsersLibrary()) GTEST_SKIP() << "another library is tested";
  const std::vector<long> faults = LeastAddedByPreload({"fork_faults", "0"});
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_LE(faults[0], 2);
  EXPECT_LE(faults[1], 5);
}

TEST(ForkFaults, AreFewWithThreads) {
  if (!IsUsersLibrary()) GTEST_SKIP() << "another library is tested";
  const std::vector<long> faults = LeastAddedByPreload({"fork_faults", "8"});
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_LE(faults[0], 4);
  EXPECT_LE(faults[1], 8);
}

TEST(ForkBooks, AreMadeWhenTheyAreNeeded) { ExpectSuccess({"fork_lists"}); }

TEST(ForkBooks, OfAForkedChildAreItsOwn) { ExpectSuccess({"fork_books", "fork"}); }

TEST(ForkBooks, OfAClonedChildAreItsOwn) { ExpectSuccess({"fork_books", "clone"}); }

TEST(ForkBooks, OfAVforkChildAreItsParents) { ExpectSuccess({"vfork_books"}); }

}  // namespace
}  // namespace taskmem::test
