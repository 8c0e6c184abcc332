// What the library adds to the start and the end of a program that does nothing.
#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TEST(Start, TakesFewSystemCalls) {
  const std::vector<long> calls = AddedByPreload({"start_calls", "1000", FindInPath("true")});
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_LE(calls[0], 54);
}

TEST(Start, TouchesLittleMemory) {
  const std::vector<long> kib = LeastAddedByPreload({"start_memory"});
  ASSERT_EQ(kib.size(), 2u);
  // In memory, most of it code of the library's and of libc's; and page tables.
  EXPECT_LE(kib[0], 1120);
  EXPECT_LE(kib[1], 64);
}

}  // namespace
}  // namespace taskmem::test
