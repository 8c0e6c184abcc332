#include "shim/base/resident_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "gtest/gtest.h"

namespace taskmem {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kChunk = 16 * kPage;
constexpr uint32_t kChunks = 64;

class ResidentPagesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* directory = getenv("TEST_TMPDIR");
    std::string path = std::string(directory != nullptr ? directory : "/var/tmp") + "/XXXXXX";
    const int fd = mkstemp(path.data());
    ASSERT_GE(fd, 0);
    unlink(path.c_str());
    ASSERT_EQ(ftruncate(fd, kChunks * kChunk), 0);
    void* start = mmap(nullptr, kChunks * kChunk, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ASSERT_NE(start, MAP_FAILED);
    close(fd);
    start_ = static_cast<char*>(start);
    ASSERT_TRUE(pages_.Begin());
  }
  void TearDown() override {
    pages_.End();
    munmap(start_, kChunks * kChunk);
  }

  void Count() {
    memset(counts_, 0, sizeof(counts_));
    pages_.Count(reinterpret_cast<uintptr_t>(start_), kChunk, kChunks, counts_);
  }

  ResidentPages pages_;
  char* start_ = nullptr;
  uint8_t counts_[kChunks] = {};
};

TEST_F(ResidentPagesTest, CountsWhatWasTouched) {
  for (int i = 0; i < 16; ++i) start_[3 * kChunk + i * kPage] = 1;
  // By writing: a fault to read brings its neighbours.
  for (int i = 0; i < 16; i += 2) start_[5 * kChunk + i * kPage] = 1;
  start_[63 * kChunk + 15 * kPage] = 1;
  Count();
  for (uint32_t i = 0; i < kChunks; ++i) {
    EXPECT_EQ(counts_[i], i == 3 ? 16 : i == 5 ? 8 : i == 63 ? 1 : 0) << i;
  }
}

TEST_F(ResidentPagesTest, ManyPiecesAreCounted) {
  for (uint32_t i = 0; i < kChunks * 16; i += 2) start_[i * kPage] = 1;
  Count();
  for (uint32_t i = 0; i < kChunks; ++i) EXPECT_EQ(counts_[i], 8) << i;
}

TEST_F(ResidentPagesTest, WhatWasUnmappedIsGone) {
  memset(start_, 1, kChunks * kChunk);
  madvise(start_, kChunk, MADV_DONTNEED);
  Count();
  EXPECT_EQ(counts_[0], 0);
  EXPECT_EQ(counts_[1], 16);
}

TEST_F(ResidentPagesTest, PrivatePagesDoNotCount) {
  mmap(start_, kChunks * kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
       -1, 0);
  memset(start_, 1, kChunks * kChunk);
  Count();
  for (uint32_t i = 0; i < kChunks; ++i) EXPECT_EQ(counts_[i], 0) << i;
}

TEST_F(ResidentPagesTest, TakesRangesOut) {
  memset(start_, 7, kChunks * kChunk);
  std::thread([&] {
    ResidentPages pages;
    const iovec ranges[] = {{start_, kChunk}, {start_ + 3 * kChunk, 2 * kChunk}};
    EXPECT_FALSE(pages.Unmap(ranges, 2)) << "without descriptors of its own";
    if (!pages.TakeOwnDescriptors() || !pages.Unmap(ranges, 2)) return;  // an old kernel
    EXPECT_TRUE(pages.Begin());
    pages.Count(reinterpret_cast<uintptr_t>(start_), kChunk, kChunks, counts_);
    pages.End();
    EXPECT_EQ(counts_[0], 0);
    EXPECT_GT(counts_[1], 0);
    EXPECT_EQ(counts_[3], 0);
    EXPECT_EQ(counts_[4], 0);
  }).join();
  for (size_t i = 0; i < kChunks * kChunk; i += kPage) EXPECT_EQ(start_[i], 7);
}

TEST_F(ResidentPagesTest, TheSumsTellFilesFromTheRest) {
  const ResidentBytes before = pages_.Read();
  memset(start_, 1, kChunks * kChunk);
  const ResidentBytes after = pages_.Read();
  EXPECT_GE(before.other, kPage);
  // The kernel's sums are exact to some pages for each processor.
  EXPECT_GE(after.file + 64 * kPage * 64, before.file + kChunks * kChunk);
}

TEST_F(ResidentPagesTest, HasDescriptorsOfItsOwn) {
  const int next = dup(0);
  ASSERT_GE(next, 0);
  close(next);
  std::thread([&] {
    ResidentPages pages;
    if (!pages.TakeOwnDescriptors()) return;  // an old kernel
    EXPECT_EQ(fcntl(2, F_GETFD), -1);
    EXPECT_GT(pages.Read().other, 0u);
    EXPECT_TRUE(pages.Begin());
    start_[0] = 1;
    pages.Count(reinterpret_cast<uintptr_t>(start_), kChunk, kChunks, counts_);
    EXPECT_EQ(counts_[0], 1);
    pages.End();
  }).join();
  EXPECT_NE(fcntl(2, F_GETFD), -1) << "the others' were closed";
  EXPECT_EQ(dup(0), next) << "left something open";
  close(next);
}

}  // namespace
}  // namespace taskmem
