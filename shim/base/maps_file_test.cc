#include "shim/base/maps_file.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <fstream>
#include <string>
#include <vector>

namespace taskmem {
namespace {

TEST(MapsFile, IsReadToItsEnd) {
  // More lines than one piece of the file holds: neighbours that differ.
  constexpr int kRegions = 600;
  char* const start = static_cast<char*>(
      mmap(nullptr, kRegions * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(start, MAP_FAILED);
  for (int i = 0; i < kRegions; i += 2) {
    ASSERT_EQ(mprotect(start + i * 4096, 4096, PROT_READ | PROT_WRITE), 0);
  }
  int seen = 0;
  uint64_t last_end = 0;
  ForEachMapsLine([&](const MapsLine& line) {
    EXPECT_GE(line.start, last_end);
    EXPECT_GT(line.end, line.start);
    last_end = line.end;
    const auto first = reinterpret_cast<uint64_t>(start);
    if (line.start >= first && line.end <= first + kRegions * 4096) {
      EXPECT_EQ(line.protection, (line.start - first) / 4096 % 2 == 0 ? 3 : 0);
      seen += static_cast<int>((line.end - line.start) / 4096);
    }
    return true;
  });
  EXPECT_EQ(seen, kRegions);
  munmap(start, kRegions * 4096);
}

TEST(MapsFile, IsReadUntilSomebodyHasEnough) {
  int lines = 0;
  ForEachMapsLine([&](const MapsLine&) { return ++lines < 3; });
  EXPECT_EQ(lines, 3);
}

}  // namespace
}  // namespace taskmem
