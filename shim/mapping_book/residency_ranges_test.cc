#include "shim/mapping_book/residency_ranges.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace taskmem {

// The mapping book of these tests.
std::vector<MappedRange> g_ranges;

uint32_t ReadMappings(uint64_t from, MappedRange* ranges, uint32_t most) {
  uint32_t count = 0;
  for (const MappedRange& range : g_ranges) {
    if (range.end > from && count < most) ranges[count++] = range;
  }
  return count;
}

namespace {

constexpr uint64_t kPage = 4096;

// Private anonymous memory, in small pages, none of it touched.
class Mapping {
 public:
  explicit Mapping(uint64_t pages) : bytes_(pages * kPage) {
    start_ = static_cast<char*>(
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    madvise(start_, bytes_, MADV_NOHUGEPAGE);
  }
  ~Mapping() { munmap(start_, bytes_); }
  void Touch(uint64_t page) { start_[page * kPage] = 1; }
  uint64_t start() const { return reinterpret_cast<uint64_t>(start_); }
  uint64_t end() const { return start() + bytes_; }

 private:
  char* start_;
  const uint64_t bytes_;
};

TEST(ResidentBytes, CountsWhatWasTouched) {
  Mapping memory(2000);  // more than is asked for at once
  EXPECT_EQ(ResidentBytes(memory.start(), memory.end()), 0u);
  for (const uint64_t page : {0, 7, 511, 512, 1999}) memory.Touch(page);
  EXPECT_EQ(ResidentBytes(memory.start(), memory.end()), 5 * kPage);
  EXPECT_EQ(ResidentBytes(memory.start() + kPage, memory.end() - kPage), 3 * kPage);
}

TEST(ResidentBytes, HolesHaveNone) {
  Mapping memory(16);
  memory.Touch(3);
  munmap(reinterpret_cast<void*>(memory.start()), kPage);
  // A hole fails the question for all that it is asked for with.
  EXPECT_EQ(ResidentBytes(memory.start(), memory.start() + kPage), 0u);
  EXPECT_EQ(ResidentBytes(memory.start() + kPage, memory.end()), kPage);
}

TEST(WrittenBytes, OfAPrivateFileIsWhatWasWrittenTo) {
  const char* const folder = getenv("TEST_TMPDIR");
  std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/writtenXXXXXX";
  const int fd = mkstemp(path.data());
  ASSERT_GE(fd, 0);
  unlink(path.c_str());
  const std::string text(200 * kPage, 'x');
  ASSERT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  void* const memory = mmap(nullptr, text.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  ASSERT_NE(memory, MAP_FAILED);
  close(fd);
  const auto start = reinterpret_cast<uint64_t>(memory);
  char sum = 0;
  for (uint64_t page = 0; page < 200; ++page) sum += static_cast<char*>(memory)[page * kPage];
  EXPECT_NE(sum, 1);
  EXPECT_EQ(WrittenBytes(start, start + text.size()), 0u) << "what was read is the file's";
  for (const uint64_t page : {0, 63, 64, 199}) static_cast<char*>(memory)[page * kPage] = 'y';
  EXPECT_EQ(WrittenBytes(start, start + text.size()), 4 * kPage);
  MappedRange range = {start, start + text.size(), {}};
  range.tag.kind = MappingClass::kFilePrivate;
  EXPECT_EQ(BytesInMemory(range), 4 * kPage);
  munmap(memory, text.size());
}

TEST(ForEachByResidency, CutsTheRangesAndLeavesOthersOut) {
  MappingTag sparse;
  sparse.rule = ChargeRule::kResidency;
  g_ranges = {{0x1000, 0x3000, sparse}, {0x3000, 0x5000, {}}};
  // More than are read at once.
  for (uint64_t at = 0x10000; at < 0x30000; at += 0x2000) {
    g_ranges.push_back({at, at + 0x1000, sparse});
  }
  std::vector<std::pair<uint64_t, uint64_t>> seen;
  ForEachByResidency(0x2000, 0x14800,
                     [&](const MappedRange& range) { seen.emplace_back(range.start, range.end); });
  const std::vector<std::pair<uint64_t, uint64_t>> expected = {
      {0x2000, 0x3000}, {0x10000, 0x11000}, {0x12000, 0x13000}, {0x14000, 0x14800}};
  EXPECT_EQ(seen, expected);
  uint64_t all = 0;
  ForEachByResidency(0, UINT64_MAX, [&](const MappedRange&) { ++all; });
  EXPECT_EQ(all, 17u);
}

}  // namespace
}  // namespace taskmem
