// Pages of a task: numbers, addresses, misuse, and what happens without physical memory.
#include <gtest/gtest.h>

#include <string>

#include "accounting/spark/task_memory_manager.h"
#include "accounting/spark/task_memory_testing.h"

namespace taskmem {
namespace {

using namespace testing_support;

constexpr auto kSpark = Compatibility::kSpark;
constexpr auto kTaskmem = Compatibility::kTaskmem;
constexpr auto kOnHeap = MemoryMode::kOnHeap;
constexpr auto kOffHeap = MemoryMode::kOffHeap;

class TaskPagesTest : public testing::TestWithParam<Compatibility> {
 protected:
  ~TaskPagesTest() {
    task_.CleanUpAllAllocatedMemory();
    heap_.EmptyPool();
    EXPECT_EQ(memory_.memory.live(), 0) << "physical memory";
    EXPECT_EQ(memory_.Used(), 0);
  }

  bool IsSpark() const { return GetParam() == kSpark; }

  TaskMemory memory_{{.compatibility = GetParam(), .max_bytes = 100'000}};
  TaskMemoryManager& task_ = memory_.task;
  HeapMemoryAllocator& heap_ = memory_.heap_allocator;
  EventLog& events_ = memory_.events;
  TestConsumer c_{task_, "c", SpillNothing, events_, kOnHeap, 256};
};

INSTANTIATE_TEST_SUITE_P(Both, TaskPagesTest, testing::Values(kSpark, kTaskmem), NameOf);

TEST_P(TaskPagesTest, K1APageThatIsForgottenIsALeak) {
  const Result<MemoryBlock> page = task_.AllocatePage(4096, &c_);
  EXPECT_EQ((*page).page_number, 0);
  EXPECT_EQ((*page).size, 4096);
  EXPECT_EQ(task_.LivePages(), 1);
  EXPECT_EQ(task_.GetMemoryConsumptionForThisTask(), 4096);
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 4096);
  EXPECT_EQ(task_.GetMemoryConsumptionForThisTask(), 0);
  EXPECT_EQ(task_.LivePages(), 0);
  EXPECT_EQ(task_.IsPageNumberTaken(0), IsSpark()) << "TMM-15";
}

TEST_P(TaskPagesTest, K3AddressesOnTheHeap) {
  MemoryBlock page = *task_.AllocatePage(256, &c_);
  MemoryBlock second = *task_.AllocatePage(256, &c_);
  EXPECT_EQ(*task_.EncodePageNumberAndOffset(page, 64), 64u);
  const uint64_t address = *task_.EncodePageNumberAndOffset(second, 64);
  EXPECT_EQ(address, 2251799813685312u);
  EXPECT_EQ(*task_.GetPage(address), second.base);
  EXPECT_EQ(*task_.GetOffsetInPage(address), 64u);
  EXPECT_EQ(*task_.EncodePageNumberAndOffset(second, UINT64_MAX), 4503599627370495u);
  EXPECT_FALSE(task_.FreePage(second, &c_));
  EXPECT_EQ(task_.GetPage(address).error().code, ErrorCode::kInvalidPage);
  EXPECT_EQ(*task_.GetOffsetInPage(address), 64u);
  EXPECT_EQ(task_.EncodePageNumberAndOffset(second, 64).error().code, ErrorCode::kInvalidPage);
}

TEST_P(TaskPagesTest, K4FreeMarksThePage) {
  MemoryBlock page = c_.Page(256);
  const MemoryBlock copy = page;
  EXPECT_EQ(c_.used(), 256);
  EXPECT_FALSE(c_.FreePage(page));
  EXPECT_EQ(page.page_number, MemoryBlock::kFreedInAllocator);
  EXPECT_EQ(page.base, nullptr);
  EXPECT_EQ(page.size, 256);
  EXPECT_EQ(c_.used(), 0);
  EXPECT_FALSE(task_.IsPageNumberTaken(0));
  // In Spark the bytes are taken off before the page is looked at (CONS-5).
  EXPECT_EQ(c_.FreePage(page).code, ErrorCode::kDoubleFree);
  EXPECT_EQ(c_.used(), IsSpark() ? -256 : 0);
  MemoryBlock stale = copy;
  EXPECT_EQ(c_.FreePage(stale).code, ErrorCode::kDoubleFree);
  EXPECT_EQ(stale.page_number, 0) << "refused is not marked";
  EXPECT_EQ(task_.current_bytes(kOnHeap), 0);
  EXPECT_EQ(events_.Take(), Events{});
}

TEST_P(TaskPagesTest, AStaleCopyIsNotTheNextPageOfThatNumber) {
  MemoryBlock page = *task_.AllocatePage(256, &c_);
  MemoryBlock stale = page;
  EXPECT_FALSE(task_.FreePage(page, &c_));
  MemoryBlock next = *task_.AllocatePage(128, &c_);
  EXPECT_EQ(next.page_number, stale.page_number);
  EXPECT_EQ(task_.FreePage(stale, &c_).code, ErrorCode::kDoubleFree);
  EXPECT_EQ(task_.EncodePageNumberAndOffset(stale, 0).error().code, ErrorCode::kInvalidPage);
  EXPECT_EQ(task_.LivePages(), 1);
  EXPECT_FALSE(task_.FreePage(next, &c_));
}

TEST_P(TaskPagesTest, WhatACopySaysOfItsSizeDoesNotCount) {
  MemoryBlock page = c_.Page(256);
  const Result<int64_t> more = task_.AcquireExecutionMemory(500, &c_);
  EXPECT_TRUE(more.ok());
  MemoryBlock forged = page;
  forged.size = 700;
  EXPECT_FALSE(task_.FreePage(forged, &c_));
  EXPECT_EQ(memory_.Used(), 500);
  EXPECT_EQ(forged.size, 256);
}

TEST_P(TaskPagesTest, K5TheAllocatorRefusesALivePage) {
  MemoryBlock page = c_.Page(256);
  EXPECT_EQ(heap_.Free(page).code, ErrorCode::kTaskPage);
  EXPECT_EQ(page.page_number, 0);
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 256);
  EXPECT_EQ(events_.Take(), Events{"DEBUG unreleased 256.0 B memory from c"});
  EXPECT_EQ(heap_.Free(page).code, ErrorCode::kTaskPage) << "a stale copy";
  EXPECT_EQ(task_.FreePage(page, &c_).code, ErrorCode::kDoubleFree);
}

TEST_P(TaskPagesTest, K6TheManagerRefusesABlockOfTheAllocator) {
  MemoryBlock block = *heap_.Allocate(256);
  EXPECT_EQ(task_.FreePage(block, &c_).code, ErrorCode::kNotFromThisManager);
  EXPECT_EQ(task_.EncodePageNumberAndOffset(block, 0).error().code, ErrorCode::kInvalidPage);
  EXPECT_FALSE(heap_.Free(block));
  EXPECT_EQ(heap_.Free(block).code, ErrorCode::kWrongAllocator);
  EXPECT_EQ(task_.FreePage(block, &c_).code, ErrorCode::kDoubleFree);
  MemoryBlock none;
  EXPECT_EQ(task_.FreePage(none, &c_).code, ErrorCode::kNotFromThisManager);
}

TEST_P(TaskPagesTest, RefusesPagesOfAnotherTask) {
  TaskMemoryManager other(memory_.pools, 1, heap_, memory_.unsafe_allocator);
  TestConsumer stranger(other, "stranger", SpillNothing, events_);
  MemoryBlock mine = *task_.AllocatePage(10, &c_);
  MemoryBlock foreign = *other.AllocatePage(10, &stranger);
  EXPECT_EQ(foreign.page_number, mine.page_number);
  EXPECT_EQ(task_.FreePage(foreign, &c_).code, ErrorCode::kNotFromThisManager);
  EXPECT_EQ(task_.FreePage(mine, &stranger).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(task_.FreePage(mine, nullptr).code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(task_.EncodePageNumberAndOffset(foreign, 0).error().code, ErrorCode::kInvalidPage);
  EXPECT_EQ(task_.LivePages(), 1);
  EXPECT_EQ(other.LivePages(), 1);
  other.CleanUpAllAllocatedMemory();
}

TEST_P(TaskPagesTest, Tmm10Refusals) {
  TestConsumer off(task_, "off", SpillNothing, events_, kOffHeap);
  EXPECT_EQ(task_.AllocatePage(kMaxPageBytes + 1, &c_).error().code, ErrorCode::kTooLargePage);
  EXPECT_EQ(task_.AllocatePage(0, &c_).error().code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(task_.AllocatePage(-1, &c_).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(task_.AllocatePage(10, &off).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(c_.AllocatePage(-1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(c_.AllocateArray(-1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(c_.AllocateArray(INT64_MAX / 2).error().code, ErrorCode::kTooLargePage);
  EXPECT_EQ(c_.AllocateArray((int64_t{1} << 31) - 1).error().code,
            ErrorCode::kUnableToAcquireMemory)
      << "the largest page there is";
  MemoryBlock page = c_.Page(10);
  EXPECT_EQ(task_.FreePage(page, &off).code, ErrorCode::kInvalidArgument);
}

TEST_P(TaskPagesTest, Tmm10ATooSmallPageIsFreedBeforeTheErrorIsReported) {
  TestConsumer c1(task_, "c1", SpillPages, events_, kOnHeap, 1024);
  c1.pages.push_back(c1.Page(100));
  EXPECT_EQ(c1.used(), 1024) << "of the page size";
  c1.pages.push_back(c1.Page(2000));
  c1.pages.push_back(*c1.AllocateArray(10));
  EXPECT_EQ(c1.pages.back().size, 80);
  EXPECT_EQ(c1.pages.back().page_number, 2);
  const Result<MemoryBlock> page = c1.AllocatePage(300'000);
  EXPECT_EQ(page.error().code, ErrorCode::kUnableToAcquireMemory);
  EXPECT_EQ(page.error().requested, 300'000);
  EXPECT_EQ(page.error().received, 100'000);
  EXPECT_EQ(events_.Take(),
            (Events{"c1 203104 for c1: 3104 -> 3104", "c1 200000 for c1: 0 -> 0",
                    "INFO Memory used in task 0",
                    "INFO 0 bytes of memory were used by task 0 but are not associated with "
                    "specific consumers",
                    "INFO 0 bytes of memory are used for execution and 0 bytes of memory are used "
                    "for storage and 0 bytes of unmanaged memory are used"}));
  EXPECT_EQ(task_.peak_bytes(kOnHeap), 100'000);
  EXPECT_EQ(task_.current_bytes(kOnHeap), 0);
}

TEST_P(TaskPagesTest, Tmm10APageMayBeSmallerThanAskedFor) {
  MemoryBlock page = *task_.AllocatePage(300'000, &c_);
  EXPECT_EQ(page.size, 100'000);
  const Result<MemoryBlock> none = task_.AllocatePage(10, &c_);
  EXPECT_TRUE(none.ok());
  EXPECT_FALSE(*none);
  EXPECT_FALSE(task_.FreePage(page, &c_));
}

TEST_P(TaskPagesTest, Cons5APageMayBeSmallerThanThePageSize) {
  MemoryBlock most = *task_.AllocatePage(99'900, &c_);
  MemoryBlock page = c_.Page(90);
  EXPECT_EQ(page.size, 100) << "asked for 256";
  EXPECT_EQ(c_.used(), 100);
  EXPECT_EQ(c_.AllocatePage(1).error().received, 0);
  EXPECT_FALSE(c_.FreePage(page));
  EXPECT_FALSE(task_.FreePage(most, &c_));
}

TEST_P(TaskPagesTest, Cons4AnArrayIsAllOrNothing) {
  MemoryBlock most = *task_.AllocatePage(99'900, &c_);
  const Result<MemoryBlock> array = c_.AllocateArray(13);
  EXPECT_EQ(array.error().code, ErrorCode::kUnableToAcquireMemory);
  EXPECT_EQ(array.error().requested, 104);
  EXPECT_EQ(array.error().received, 100);
  EXPECT_EQ(c_.used(), 0);
  EXPECT_EQ(memory_.Used(), 99'900);
  MemoryBlock smaller = *c_.AllocateArray(12);
  EXPECT_EQ(c_.used(), 96);
  EXPECT_FALSE(c_.FreeArray(smaller));
  EXPECT_FALSE(task_.FreePage(most, &c_));
}

TEST_P(TaskPagesTest, Tmm10FullTable) {
  MemoryBlock first = *task_.AllocatePage(8, &c_);
  for (int i = 1; i < kPageTableSize; ++i) {
    ASSERT_EQ((*task_.AllocatePage(8, &c_)).page_number, i);
  }
  EXPECT_EQ(task_.AllocatePage(8, &c_).error().code, ErrorCode::kPageTableFull);
  EXPECT_EQ(memory_.Used(), 65536);
  EXPECT_EQ(task_.current_bytes(kOnHeap), 65536);
  EXPECT_EQ(task_.peak_bytes(kOnHeap), 65544);
  EXPECT_FALSE(task_.FreePage(first, &c_));
  EXPECT_EQ((*task_.AllocatePage(8, &c_)).page_number, 0);
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 65536);
  // In Spark the numbers stay taken (TMM-15).
  EXPECT_EQ(task_.AllocatePage(8, &c_).error().code,
            IsSpark() ? ErrorCode::kPageTableFull : ErrorCode::kNone);
}

TEST_P(TaskPagesTest, Tmm15CleanUp) {
  c_.SetBehaviour(SpillNothing);
  TestConsumer c1(task_, "c1", SpillNothing, events_, kOnHeap, 64);
  MemoryBlock page = c1.Page(64);
  c1.Page(64);
  c1.Acquire(10);
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 138);
  EXPECT_EQ(events_.Take(), Events{"DEBUG unreleased 138.0 B memory from c1"});
  EXPECT_EQ(task_.current_bytes(kOnHeap), 138);
  EXPECT_EQ(c1.FreePage(page).code, ErrorCode::kDoubleFree);
  EXPECT_EQ((*task_.AllocatePage(64, &c1)).page_number, IsSpark() ? 2 : 0);
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 64);
  EXPECT_EQ(events_.Take(), Events{"DEBUG unreleased " + std::to_string(IsSpark() ? 74 : 138) +
                                   ".0 B memory from c1"})
      << "it is listed again, and thinks what it thinks";
  EXPECT_EQ(task_.CleanUpAllAllocatedMemory(), 0);
  EXPECT_EQ(events_.Take(), Events{});
}

// K2: page of 256 bytes, an offset that needs 52 bits.
TEST(TaskPagesOffHeap, K2Addresses) {
  for (const Compatibility compatibility : {kSpark, kTaskmem}) {
    TaskMemory memory(
        {.compatibility = compatibility, .max_bytes = 100'000, .tungsten_mode = kOffHeap});
    TestConsumer c(memory.task, "c", SpillNothing, memory.events, kOffHeap);
    EXPECT_EQ((*memory.task.AllocatePage(256, &c)).page_number, 0);
    const MemoryBlock page = *memory.task.AllocatePage(256, &c);
    EXPECT_EQ(page.mode, kOffHeap);
    const auto base = reinterpret_cast<uint64_t>(page.base);
    for (const uint64_t offset : {(uint64_t{1} << 51) + 10, base, base + 64, base + kOffsetMask}) {
      const uint64_t address = *memory.task.EncodePageNumberAndOffset(page, offset);
      EXPECT_EQ(DecodePageNumber(address), 1);
      EXPECT_EQ(*memory.task.GetPage(address), nullptr);
      EXPECT_EQ(*memory.task.GetOffsetInPage(address), offset);
    }
    EXPECT_EQ(*memory.task.EncodePageNumberAndOffset(page, base - 1), 4503599627370495u);
    const uint64_t unknown = EncodeAddress(2, 0);
    EXPECT_EQ(*memory.task.GetPage(unknown), nullptr);
    EXPECT_EQ(memory.task.GetOffsetInPage(unknown).error().code, ErrorCode::kInvalidPage);
    memory.task.CleanUpAllAllocatedMemory();
  }
}

// TMM-11: Spark tries for ever, and keeps what it acquired each time.
TEST(TaskPagesWithoutMemory, Tmm11Spark) {
  TaskMemory memory({.compatibility = kSpark, .max_bytes = 100'000});
  TestConsumer c1(memory.task, "c1", SpillPages, memory.events, kOnHeap, 1000);
  c1.Page(1000);
  memory.memory.FailNext(1);
  EXPECT_EQ(c1.Page(1000).page_number, 1);
  EXPECT_EQ(memory.TakeEvents(),
            Events{"WARN Failed to allocate a page (1000 bytes) for 0 times, try again."});
  EXPECT_EQ(memory.task.acquired_but_not_used_bytes(), 1000);
  memory.memory.FailNext(3);
  EXPECT_EQ(c1.Page(1000).page_number, 2);
  EXPECT_EQ(memory.TakeEvents(),
            (Events{"WARN Failed to allocate a page (1000 bytes) for 0 times, try again.",
                    "WARN Failed to allocate a page (1000 bytes) for 1 times, try again.",
                    "WARN Failed to allocate a page (1000 bytes) for 2 times, try again."}));
  EXPECT_EQ(memory.Used(), 7000);
  EXPECT_EQ(memory.task.current_bytes(kOnHeap), 7000);
  EXPECT_EQ(c1.used(), 3000);
  EXPECT_EQ(memory.task.CleanUpAllAllocatedMemory(), 3000) << "without what was not used";
  EXPECT_EQ(memory.TakeEvents(), Events{"DEBUG unreleased 2.9 KiB memory from c1"});
  EXPECT_EQ(memory.task.acquired_but_not_used_bytes(), 4000);
  EXPECT_EQ(memory.task.CleanUpAllAllocatedMemory(), 0);
  EXPECT_EQ(memory.TakeEvents(),
            Events{"WARN Internal error: release called on 4000 bytes but task only has 0 bytes of "
                   "memory from the on-heap execution pool"});
}

TEST(TaskPagesWithoutMemory, Tmm11SparkEndsWhenThePoolDoes) {
  TaskMemory memory({.compatibility = kSpark, .max_bytes = 10'000});
  TestConsumer c1(memory.task, "c1", SpillNothing, memory.events, kOnHeap, 4000);
  memory.memory.FailNext(1'000'000);
  EXPECT_EQ(c1.AllocatePage(4000).error().code, ErrorCode::kUnableToAcquireMemory);
  EXPECT_EQ(memory.task.acquired_but_not_used_bytes(), 10'000);
  EXPECT_EQ(memory.Used(), 10'000);
  EXPECT_EQ(memory.task.CleanUpAllAllocatedMemory(), 0);
  EXPECT_EQ(memory.Used(), 0);
}

// TMM-12, in taskmem.
class TaskPagesRecoveryTest : public testing::Test {
 protected:
  TaskPagesRecoveryTest() {
    for (int i = 0; i < 4; ++i) c1_.pages.push_back(c1_.Page(1000));
    memory_.TakeEvents();
  }
  ~TaskPagesRecoveryTest() {
    memory_.task.CleanUpAllAllocatedMemory();
    EXPECT_EQ(memory_.memory.live(), 0);
  }

  // Nothing of an allocation that failed is left.
  void ExpectUntouched(int live_pages) {
    EXPECT_EQ(memory_.Used(), live_pages * 1000);
    EXPECT_EQ(memory_.task.current_bytes(kOnHeap), live_pages * 1000);
    EXPECT_EQ(memory_.task.LivePages(), live_pages);
    EXPECT_EQ(memory_.task.acquired_but_not_used_bytes(), 0);
    EXPECT_FALSE(memory_.task.IsPageNumberTaken(4));
  }

  TaskMemory memory_{{.max_bytes = 100'000}};
  TestConsumer c1_{memory_.task, "c1", SpillPages, memory_.events, kOnHeap, 1000};
  TestConsumer c2_{memory_.task, "c2", SpillNothing, memory_.events, kOnHeap, 1000};
};

TEST_F(TaskPagesRecoveryTest, ConsumersSpillUntilThereIsMemory) {
  memory_.memory.FailNext(2);
  const MemoryBlock page = c2_.Page(1000);
  EXPECT_EQ(page.page_number, 4) << "reserved before they spilled";
  EXPECT_EQ(memory_.TakeEvents(),
            (Events{"c1 1000 for c2: 4000 -> 1000",
                    "WARN Failed to allocate a page (1000 bytes) for 0 times, try again.",
                    "c1 2000 for c2: 3000 -> 2000",
                    "WARN Failed to allocate a page (1000 bytes) for 1 times, try again."}));
  EXPECT_EQ(memory_.Used(), 2000) << "one of each";
  EXPECT_EQ(memory_.task.LivePages(), 2);
}

TEST_F(TaskPagesRecoveryTest, ItEndsWhenNobodySpillsAnyMore) {
  memory_.memory.FailNext(1'000'000);
  const Result<MemoryBlock> page = c2_.AllocatePage(1000);
  EXPECT_EQ(page.error().code, ErrorCode::kNoPhysicalMemory);
  EXPECT_EQ(page.error().requested, 1000);
  EXPECT_EQ(c1_.spills(), 4) << "of 1000, 2000 and 4000 bytes, and when it had no more";
  EXPECT_EQ(c2_.used(), 0);
  ExpectUntouched(0);
  memory_.memory.FailNext(0);
}

TEST_F(TaskPagesRecoveryTest, ItEndsWhenTheySpillForEver) {
  c1_.SetBehaviour([](TestConsumer& self, int64_t) {
    self.FreeMemory(10);
    EXPECT_EQ(self.Acquire(10), 10);
    return Result<int64_t>(10);
  });
  memory_.memory.FailNext(1'000'000);
  EXPECT_EQ(c2_.AllocatePage(1000).error().code, ErrorCode::kNoPhysicalMemory);
  EXPECT_EQ(c1_.spills(), TaskMemoryManager::kMaxPageRetries);
  ExpectUntouched(4);
  memory_.memory.FailNext(0);
}

TEST_F(TaskPagesRecoveryTest, WithoutConsumersItFailsAtOnce) {
  TaskMemory memory({.max_bytes = 100'000});
  TestConsumer c(memory.task, "c", SpillNothing, memory.events);
  memory.memory.FailNext(2);
  EXPECT_EQ(c.AllocatePage(10).error().code, ErrorCode::kNoPhysicalMemory);
  EXPECT_EQ(memory.memory.failures_left(), 1);
  EXPECT_EQ(memory.Used(), 0);
  EXPECT_FALSE(memory.task.IsPageNumberTaken(0));
  EXPECT_EQ(memory.TakeEvents(), Events{});
}

TEST_F(TaskPagesRecoveryTest, TheRequesterSpillsLast) {
  c2_.SetBehaviour(SpillPages);
  c2_.pages.push_back(c2_.Page(1000));
  memory_.memory.FailNext(4);
  c2_.Page(1000);
  EXPECT_EQ(c1_.spills(), 4) << "at last it has nothing to free";
  EXPECT_EQ(c2_.spills(), 1);
}

TEST_F(TaskPagesRecoveryTest, AFailedSpillIsTheError) {
  c1_.SetBehaviour(FailToSpill);
  memory_.memory.FailNext(1);
  EXPECT_EQ(c2_.AllocatePage(1000).error().code, ErrorCode::kSpillFailed);
  ExpectUntouched(4);
}

TEST_F(TaskPagesRecoveryTest, APageAllocatedInsideASpillMakesNobodySpill) {
  TestConsumer c3(memory_.task, "c3", SpillNothing, memory_.events, kOnHeap, 1000);
  c3.Page(2000);
  c1_.SetBehaviour([this](TestConsumer& self, int64_t bytes) {
    EXPECT_EQ(self.AllocatePage(1000).error().code, ErrorCode::kNoPhysicalMemory);
    EXPECT_EQ(memory_.memory.failures_left(), 0);
    return SpillPages(self, bytes);
  });
  memory_.memory.FailNext(2);
  // c3, which is the smallest that fits, frees nothing; then it is c1's turn.
  EXPECT_EQ(c2_.Page(1000).page_number, 5);
  EXPECT_EQ(c3.spills(), 1);
  EXPECT_EQ(c1_.spills(), 1);
}

TEST_F(TaskPagesRecoveryTest, CleanUpTwiceIsHarmless) {
  EXPECT_EQ(memory_.task.CleanUpAllAllocatedMemory(), 4000);
  memory_.TakeEvents();
  EXPECT_EQ(memory_.task.CleanUpAllAllocatedMemory(), 0);
  EXPECT_EQ(memory_.TakeEvents(), Events{});
  EXPECT_TRUE(memory_.task.page_numbers().IsEmpty());
  c1_.pages.clear();
}

// An allocator that has nothing to give, as a derived class may forget to say.
class NoAllocator final : public MemoryAllocator {};

TEST(TaskPagesWithoutMemory, AnAllocatorThatRefusesIsNotAskedAgain) {
  for (const Compatibility compatibility : {kSpark, kTaskmem}) {
    TaskMemory memory({.compatibility = compatibility, .max_bytes = 1000});
    NoAllocator none;
    TaskMemoryManager task(memory.pools, 7, none, none);
    TestConsumer c1(task, "c1", SpillExactly, memory.events);
    c1.Acquire(100);
    EXPECT_EQ(task.AllocatePage(10, &c1).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(c1.spills(), 0);
    EXPECT_EQ(memory.Used(7), 100);
  }
}

}  // namespace
}  // namespace taskmem
