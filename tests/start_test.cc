// What the library adds to the start and the end of a program that does nothing.
#include <algorithm>

#include "tests/support/program_test.h"

namespace taskmem::test {
namespace {

TEST(Start, TakesFewSystemCalls) {
  const std::vector<long> calls = AddedByPreload({"start_calls", "1000", FindInPath("true")});
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_LE(calls[0], 54);
}

TEST(Start, TouchesLittleMemory) {
  // The least of some: by where its parts come to lie a program has some pages more or less.
  std::vector<long> kib = AddedByPreload({"start_memory"});
  for (int i = 0; i < 4; ++i) {
    const std::vector<long> again = AddedByPreload({"start_memory"});
    ASSERT_EQ(again.size(), 2u);
    for (size_t j = 0; j < kib.size(); ++j) kib[j] = std::min(kib[j], again[j]);
  }
  ASSERT_EQ(kib.size(), 2u);
  // In memory, most of it code of the library's and of libc's; and page tables.
  EXPECT_LE(kib[0], 1120);
  EXPECT_LE(kib[1], 64);
}

}  // namespace
}  // namespace taskmem::test
