#include "tools/remote/smaps.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>

#include "tools/remote/remote_memory.h"

namespace taskmem {
namespace {

constexpr char kRecorded[] =
    "561441e4a000-561441e4c000 r--p 00000000 fe:00 247026                     /usr/bin/cat\n"
    "Size:                  8 kB\n"
    "Rss:                   8 kB\n"
    "Pss:                   4 kB\n"
    "VmFlags: rd mr mw me \n"
    "561442000000-561442021000 rw-p 00000000 00:00 0                          [heap]\n"
    "Rss:                  12 kB\n"
    "VmFlags: rd wr mr mw me ac \n"
    "7f0000000000-7f0040000000 ---p 00000000 00:00 0 \n"
    "Rss:                   0 kB\n"
    "VmFlags: mr mw me nr \n"
    "7f0050000000-7f0050001000 rwxs 00001000 00:01 77             /memfd:a name (deleted)\n"
    "Rss:                   4 kB\n";

TEST(Smaps, OfARecordedProcess) {
  const auto ranges = ParseSmaps(kRecorded);
  ASSERT_EQ(ranges.size(), 4u);
  EXPECT_EQ(ranges[0].start, 0x561441e4a000u);
  EXPECT_EQ(ranges[0].bytes(), 8192u);
  EXPECT_EQ(ranges[0].resident_bytes, 8192u);
  EXPECT_EQ(ranges[0].inode, 247026u);
  EXPECT_EQ(ranges[0].name, "/usr/bin/cat");
  EXPECT_EQ(ranges[0].Permissions(), "r--p");
  EXPECT_FALSE(ranges[0].no_reserve);
  EXPECT_EQ(ranges[1].name, "[heap]");
  EXPECT_EQ(ranges[1].inode, 0u);
  EXPECT_EQ(ranges[2].name, "");
  EXPECT_TRUE(ranges[2].no_reserve);
  EXPECT_EQ(ranges[2].Permissions(), "---p");
  EXPECT_EQ(ranges[3].name, "/memfd:a name (deleted)");
  EXPECT_EQ(ranges[3].offset, 0x1000u);
  EXPECT_EQ(ranges[3].Permissions(), "rwxs");
}

TEST(Smaps, ThatIsCutOrStrangeIsReadAsFarAsItGoes) {
  for (size_t length = 0; length < sizeof(kRecorded); ++length) {
    EXPECT_LE(ParseSmaps(std::string_view(kRecorded, length)).size(), 4u);
  }
  EXPECT_TRUE(ParseSmaps("Rss: 4 kB\n").empty());
  EXPECT_TRUE(ParseSmaps("-\n1-\n1-2 \n1-2 rw-p\n1-2 rw-p 0 0\n\n\nzz").empty());
}

TEST(Smaps, OfAHundredThousandRangesIsReadWhole) {
  std::string text;
  char lines[128];
  for (unsigned i = 1; i <= 100'000; ++i) {
    snprintf(lines, sizeof(lines), "%x000-%x000 rw-p 00000000 00:00 0 \nRss: 4 kB\n", i, i + 1);
    text += lines;
  }
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(ParseSmaps(text).size(), 100'000u);
  RecordProperty("milliseconds", static_cast<int>((std::chrono::steady_clock::now() - start) /
                                                  std::chrono::milliseconds(1)));
}

TEST(Smaps, OfThisProcess) {
  constexpr size_t kBytes = 64 * kPageBytes;
  auto* memory = static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  madvise(memory, kBytes, MADV_NOHUGEPAGE);
  memset(memory + 8 * kPageBytes, 1, 3 * kPageBytes);
  const auto ranges = ReadSmaps(getpid());
  ASSERT_TRUE(ranges.has_value());
  const auto address = reinterpret_cast<uint64_t>(memory);
  const auto found = std::find_if(ranges->begin(), ranges->end(),
                                  [&](const MemoryRange& r) { return r.Contains(address); });
  ASSERT_NE(found, ranges->end());
  EXPECT_TRUE(found->no_reserve);
  EXPECT_GE(found->resident_bytes, 3 * kPageBytes);

  const RemoteMemory remote(getpid());
  const auto pages = remote.ResidentPages(address, address + kBytes);
  ASSERT_EQ(pages.size(), 64u);
  EXPECT_FALSE(pages[7]);
  EXPECT_TRUE(pages[8] && pages[9] && pages[10]);
  EXPECT_FALSE(pages[11]);
  EXPECT_EQ(remote.ResidentBytes(address, address + kBytes), 3 * kPageBytes);
  EXPECT_EQ(remote.Read<char>(address + 8 * kPageBytes).value_or(0), 1);
  munmap(memory, kBytes);
  EXPECT_FALSE(remote.Read<char>(address).has_value());
  EXPECT_TRUE(remote.ReadArray<uint64_t>(address, 10).empty());
}

TEST(Smaps, OfNoProcess) { EXPECT_FALSE(ReadSmaps(-1).has_value()); }

}  // namespace
}  // namespace taskmem
