#include "accounting/audit/site_table.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace taskmem {
namespace {

// What a table takes it keeps; this gives it back at the end of a test.
class Zeroed {
 public:
  ~Zeroed() {
    for (void* block : blocks_) free(block);
  }
  operator MemorySource() {
    return {Allocate, [](void*, void*) {}, this};
  }

 private:
  static void* Allocate(size_t bytes, void* self) {
    void* block = calloc(1, bytes);
    const std::lock_guard lock(static_cast<Zeroed*>(self)->mutex_);
    static_cast<Zeroed*>(self)->blocks_.push_back(block);
    return block;
  }

  std::mutex mutex_;
  std::vector<void*> blocks_;
};

MemorySource Nothing() {
  return {[](size_t, void*) -> void* { return nullptr; }, [](void*, void*) {}, nullptr};
}

// Live weight by stack, as a reader finds it.
std::map<const SiteStack*, uint64_t> Live(const SiteTable& table) {
  std::map<const SiteStack*, uint64_t> live;
  for (uint32_t level = 0; level < kSampleLevels; ++level) {
    const auto* samples = reinterpret_cast<const SiteSample*>(table.head().levels[level].load());
    if (samples == nullptr) continue;
    for (uint64_t i = 0; i < SampleLevelSize(level); ++i) {
      if (samples[i].block <= 2) continue;
      live[reinterpret_cast<const SiteStack*>(samples[i].stack.load())] += samples[i].weight;
    }
  }
  return live;
}

// A number is enough to find a stack, for who keeps nothing else of it.
TEST(SiteTable, NumbersStacks) {
  Zeroed memory;
  SiteTable table(memory);
  ASSERT_TRUE(table.Open(512));
  std::set<uint32_t> numbers;
  const auto* index = reinterpret_cast<SiteStack* const*>(table.head().index.load());
  for (uint64_t i = 0; i < 1000; ++i) {
    const SiteStack* stack = table.Intern(&i, 1, kSiteWhole);
    ASSERT_NE(stack, nullptr);
    ASSERT_GT(stack->number, 0u);
    ASSERT_LE(stack->number, kSiteIndexSize);
    EXPECT_EQ(index[stack->number - 1], stack);
    numbers.insert(stack->number);
  }
  EXPECT_EQ(numbers.size(), 1000u);
}

TEST(SiteTable, KeepsEachStackOnce) {
  Zeroed memory;
  SiteTable table(memory);
  ASSERT_TRUE(table.Open(512));
  EXPECT_EQ(table.head().interval_bytes, 512u);
  const uint64_t frames[] = {1, 2, 3};
  const SiteStack* stack = table.Intern(frames, 3, kSiteWhole);
  ASSERT_NE(stack, nullptr);
  EXPECT_EQ(stack->depth, 3u);
  EXPECT_EQ(stack->frames[2], 3u);
  EXPECT_EQ(table.Intern(frames, 3, kSiteWhole), stack);
  EXPECT_NE(table.Intern(frames, 2, kSiteWhole), stack);
  EXPECT_NE(table.Intern(frames, 3, kSiteUnknownCode), stack);
  EXPECT_EQ(table.head().stacks, 3u);
}

TEST(SiteTable, KeepsWhatIsLive) {
  Zeroed memory;
  SiteTable table(memory);
  ASSERT_TRUE(table.Open(512));
  const uint64_t frame = 7;
  const SiteStack* stack = table.Intern(&frame, 1, kSiteWhole);
  EXPECT_TRUE(table.Remember(4096, stack, 100, 600));
  EXPECT_TRUE(table.Remember(8192, stack, 50, 50));
  EXPECT_EQ(Live(table)[stack], 650u);
  EXPECT_FALSE(table.Forget(16));
  table.Resize(4096, 200);
  table.Resize(16, 200);
  EXPECT_EQ(Live(table)[stack], 1250u);
  // To another address: what stood for it there does.
  const SiteTable::Sample removed = table.Remove(4096);
  EXPECT_EQ(Live(table)[stack], 50u);
  EXPECT_TRUE(table.Remember(12288, removed.stack, removed.bytes, removed.weight));
  EXPECT_EQ(table.Remove(16).stack, nullptr);
  EXPECT_EQ(Live(table)[stack], 1250u);
  EXPECT_FALSE(table.Forget(4096));
  EXPECT_TRUE(table.Forget(12288));
  EXPECT_EQ(Live(table)[stack], 50u);
}

TEST(SiteTable, FollowsARandomHistory) {
  for (const uint32_t seed : {3u, 20240607u}) {
    Zeroed memory;
    SiteTable table(memory);
    ASSERT_TRUE(table.Open(512));
    std::mt19937_64 random(seed);
    std::vector<const SiteStack*> stacks;
    for (uint64_t i = 0; i < 10; ++i) stacks.push_back(table.Intern(&i, 1, kSiteWhole));
    std::map<uint64_t, std::pair<const SiteStack*, uint64_t>> blocks;
    std::map<const SiteStack*, uint64_t> expected;
    for (int i = 0; i < 100'000; ++i) {
      const uint64_t block = 4096 + random() % 30'000 * 16;
      const auto found = blocks.find(block);
      if (found != blocks.end()) {
        ASSERT_TRUE(table.Forget(block));
        expected[found->second.first] -= found->second.second;
        blocks.erase(found);
      } else {
        const SiteStack* stack = stacks[random() % stacks.size()];
        ASSERT_TRUE(table.Remember(block, stack, 1, block));
        expected[stack] += block;
        blocks[block] = {stack, block};
      }
    }
    const auto live = Live(table);
    for (const auto& [stack, bytes] : expected) {
      EXPECT_EQ(live.count(stack) ? live.at(stack) : 0, bytes) << "seed " << seed;
    }
    EXPECT_EQ(table.head().lost_samples, 0u);
  }
}

TEST(SiteTable, HasNoMoreStacksThanItMay) {
  Zeroed memory;
  SiteTable table(memory);
  ASSERT_TRUE(table.Open(512));
  const uint64_t first = 1'000'000;
  const SiteStack* known = table.Intern(&first, 1, kSiteWhole);
  const SiteStack* last = nullptr;
  for (uint64_t i = 0; i < SiteTable::kMaxStacks + 1000; ++i) last = table.Intern(&i, 1, 0);
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(last->depth, 0u);
  EXPECT_EQ(last->flags, kSiteCut);
  EXPECT_EQ(table.Intern(&first, 1, kSiteWhole), known);
  EXPECT_LE(table.head().stacks, SiteTable::kMaxStacks + 1);
}

TEST(SiteTable, CutsWhatIsTooDeep) {
  Zeroed memory;
  SiteTable table(memory);
  ASSERT_TRUE(table.Open(512));
  std::vector<uint64_t> frames(3 * kMaxFrames, 9);
  const SiteStack* stack = table.Intern(frames.data(), 3 * kMaxFrames, kSiteWhole);
  EXPECT_EQ(stack->depth, kMaxFrames);
  EXPECT_EQ(stack->flags, kSiteCut);
}

TEST(SiteTable, CountsWhatItHasNoRoomFor) {
  SiteTable table(Nothing());
  EXPECT_FALSE(table.Open(512));
  const uint64_t frame = 7;
  EXPECT_EQ(table.Intern(&frame, 1, kSiteWhole), nullptr);
  EXPECT_FALSE(table.Remember(4096, nullptr, 1, 77));
  EXPECT_FALSE(table.Forget(4096));
  EXPECT_EQ(table.head().lost_samples, 1u);
  EXPECT_EQ(table.head().lost_bytes, 77u);
}

TEST(SiteTable, IsRightWhenThreadsMeet) {
  Zeroed memory;
  SiteTable table(memory);
  ASSERT_TRUE(table.Open(512));
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&table, t] {
      for (uint64_t i = 0; i < 20'000; ++i) {
        const uint64_t frame = i % 500;
        const SiteStack* stack = table.Intern(&frame, 1, kSiteWhole);
        const uint64_t block = ((t + 1) << 32) + i * 16;
        EXPECT_TRUE(table.Remember(block, stack, 1, 1));
        if (i % 4 != 0) {
          EXPECT_TRUE(table.Forget(block));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  uint64_t live = 0;
  for (const auto& [stack, bytes] : Live(table)) live += bytes;
  EXPECT_EQ(live, 4u * 5000);
  EXPECT_EQ(table.head().stacks, 500u);
}

std::vector<uint64_t> FramesOf(const SiteStack* stack) {
  return {stack->frames, stack->frames + stack->depth};
}

// What is loaded where, for the test below.
bool g_is_back = false;

TEST(SiteTable, KeepsApartWhatIsLoadedOneAfterTheOther) {
  Zeroed memory;
  SiteTable table(memory, [](uint64_t) { return g_is_back; });
  ASSERT_TRUE(table.Open(512));
  const uint64_t frames[] = {0x5010, 0x9000};
  const uint64_t elsewhere[] = {0x7000, 0x9000};
  const SiteStack* const first = table.Intern(frames, 2, kSiteWhole);
  const SiteStack* const other = table.Intern(elsewhere, 2, kSiteWhole);
  static uint32_t asked;
  asked = 0;
  SiteTable::Unloaded unloaded = {
      0x5000, 0x6000, table.newest(), false, [](void*) { return ++asked + 40; }, nullptr};
  table.NoteUnloaded(unloaded);
  EXPECT_EQ(asked, 1u);
  EXPECT_EQ(FramesOf(first), (std::vector<uint64_t>{UnloadedFrame(41, 0x5010), 0x9000}));
  EXPECT_EQ(FramesOf(other), (std::vector<uint64_t>{0x7000, 0x9000}));
  // Another library there.
  g_is_back = false;
  const SiteStack* const second = table.Intern(frames, 2, kSiteWhole);
  EXPECT_NE(second, first);
  EXPECT_EQ(table.Intern(frames, 2, kSiteWhole), second);
  EXPECT_EQ(table.Intern(elsewhere, 2, kSiteWhole), other);
  // It goes, and the first comes back: no stack is made.
  table.NoteUnloaded(unloaded);
  EXPECT_EQ(FramesOf(second), (std::vector<uint64_t>{UnloadedFrame(42, 0x5010), 0x9000}));
  g_is_back = true;
  EXPECT_EQ(table.Intern(frames, 2, kSiteWhole), first);
  EXPECT_EQ(FramesOf(first), (std::vector<uint64_t>{0x5010, 0x9000}));
  EXPECT_EQ(table.head().stacks, 3u);
  // Made since the library was seen last, where something else is already: it is not known whose.
  g_is_back = false;
  unloaded.certain = first;
  unloaded.is_reused = true;
  const uint64_t late[] = {0x5020};
  const SiteStack* const doubtful = table.Intern(late, 1, kSiteWhole);
  table.NoteUnloaded(unloaded);
  EXPECT_EQ(FramesOf(doubtful), (std::vector<uint64_t>{UnloadedFrame(0, 0x5020)}));
  EXPECT_EQ(FramesOf(first)[0], UnloadedFrame(43, 0x5010));
  // Where nothing is unloaded of what was called, nobody is asked for a number.
  unloaded.start = 0x100000;
  unloaded.end = 0x200000;
  table.NoteUnloaded(unloaded);
  EXPECT_EQ(asked, 3u);
}

}  // namespace
}  // namespace taskmem
