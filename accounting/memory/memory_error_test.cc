#include "accounting/memory/memory_error.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

namespace taskmem {
namespace {

std::string Text(const MemoryError& error) {
  char text[512];
  memset(text, 'x', sizeof(text));
  Describe(error, text, sizeof(text));
  return text;
}

TEST(MemoryError, IsNoErrorByDefault) {
  const MemoryError error;
  EXPECT_FALSE(error);
  EXPECT_EQ(error.code, ErrorCode::kNone);
  EXPECT_STREQ(error.detail, "");
  EXPECT_EQ(Text(error), "no error");
}

TEST(MemoryError, CutsALongDetail) {
  const std::string text(500, 'd');
  const MemoryError error(ErrorCode::kEvictionFailed, text);
  EXPECT_TRUE(error);
  EXPECT_EQ(strlen(error.detail), sizeof(error.detail) - 1);
  EXPECT_EQ(text.compare(0, sizeof(error.detail) - 1, error.detail), 0);
}

TEST(MemoryError, KeepsADetailThatFitsExactly) {
  const std::string text(sizeof(MemoryError::detail) - 1, 'd');
  EXPECT_EQ(MemoryError(ErrorCode::kSpillFailed, text).detail, text);
  EXPECT_STREQ(MemoryError(ErrorCode::kSpillFailed, "").detail, "");
}

TEST(Result, HoldsAValue) {
  const Result<int64_t> result = int64_t{7};
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(*result, 7);
  EXPECT_EQ(result.value(), 7);
  EXPECT_FALSE(result.error());
}

TEST(Result, HoldsAnError) {
  const Result<bool> result = MemoryError(ErrorCode::kTimedOut, 8);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::kTimedOut);
  EXPECT_EQ(result.error().requested, 8);
}

TEST(Describe, UsesSparksWords) {
  EXPECT_EQ(Text(MemoryError(ErrorCode::kUnableToAcquireMemory, 8, 0)),
            "[UNABLE_TO_ACQUIRE_MEMORY] Unable to acquire 8 bytes of memory, got 0.");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kInvalidRequest, 0)),
            "invalid number of bytes requested: 0");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kKeyNotFound, 1)), "key not found: 1");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kNoMemoryStore)), "memory store not initialized yet");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kSpillFailed, "c2 : spill failed")),
            "[SPILL_OUT_OF_MEMORY] Error while calling spill() on c2 : spill failed");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kTooLargePage, 17179869177)),
            "Cannot allocate a page of 17179869177 bytes.");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kPageTableFull)),
            "Have already allocated a maximum of 8192 pages");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kSystemMemoryTooSmall, 153600, 460800)),
            "[INVALID_DRIVER_MEMORY] System memory 153600 must be at least 460800.");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kExecutorMemoryTooSmall, 153600, 460800)),
            "[INVALID_EXECUTOR_MEMORY] Executor memory 153600 must be at least 460800.");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kInvalidStorageFraction, "1.0")),
            "[INVALID_CONF_VALUE.REQUIREMENT] The value '1.0' in the config "
            "\"spark.memory.storageFraction\" is invalid. Storage fraction must be in [0,1)");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kNegativeOffHeapSize, -1)),
            "[INVALID_CONF_VALUE.REQUIREMENT] The value '-1b' in the config "
            "\"spark.memory.offHeap.size\" is invalid. The off-heap memory size must not be "
            "negative");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kOffHeapSizeRequired)),
            "spark.memory.offHeap.size must be > 0 when spark.memory.offHeap.enabled == true");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kNoOnHeapExecutionMemory)),
            "onHeapExecutionMemory must be > 0");
}

TEST(Describe, LeavesTheColonOutWhereThereIsNoDetail) {
  EXPECT_EQ(Text(MemoryError(ErrorCode::kEvictionFailed)), "eviction failed");
  EXPECT_EQ(Text(MemoryError(ErrorCode::kEvictionFailed, "drop failed")),
            "eviction failed: drop failed");
}

TEST(Describe, HasADifferentTextForEveryCode) {
  std::set<std::string> texts;
  int codes = 0;
  for (; codes <= static_cast<int>(ErrorCode::kNoOnHeapExecutionMemory); ++codes) {
    const std::string text = Text(MemoryError(static_cast<ErrorCode>(codes), 5, 3));
    EXPECT_FALSE(text.empty());
    EXPECT_EQ(text.find("unknown"), std::string::npos) << text;
    texts.insert(text);
  }
  EXPECT_EQ(texts.size(), static_cast<size_t>(codes));
  EXPECT_EQ(Text(MemoryError(static_cast<ErrorCode>(codes), 5, 3)),
            "unknown error " + std::to_string(codes));
}

TEST(Describe, WritesOneLine) {
  EXPECT_EQ(Text(MemoryError(ErrorCode::kEvictionFailed, "a\nb\r\nc")), "eviction failed: a b  c");
}

TEST(Describe, StaysWithinItsBuffer) {
  char text[8];
  memset(text, 'x', sizeof(text));
  const MemoryError error(ErrorCode::kUnableToAcquireMemory, INT64_MAX, INT64_MIN);
  Describe(error, text, 5);
  EXPECT_STREQ(text, "[UNA");
  EXPECT_EQ(text[5], 'x');
  Describe(error, text, 1);
  EXPECT_STREQ(text, "");
  text[0] = 'x';
  Describe(error, text, 0);
  EXPECT_EQ(text[0], 'x');
}

}  // namespace
}  // namespace taskmem
