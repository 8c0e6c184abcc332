// Small blocks of four times the quota, with churn; most of them are of one task, some of
// another that stays within its own.
#include "tests/programs/support/overflow.h"

namespace {

constexpr uint64_t kQuota = 64 * kMiB;
constexpr uint64_t kOtherTask = kTask + 1;
constexpr size_t kBlocks = 1'300'000;

Filled blocks[kBlocks];

size_t SizeOf(size_t i) {
  // About 200 bytes; one in 256 is up to 64 KiB.
  return i % 256 == 0 ? 1024 + i * 7919 % (63 << 10) / 8 * 8 : 16 + i * 31 % 144 / 8 * 8;
}

void CheckAll() {
  for (const Filled& block : blocks) REQUIRE(block.IsIntact());
}

}  // namespace

int main() {
  const uint64_t resident = PeakResidentBytes();
  Begin(kTask, kQuota);
  Begin(kOtherTask, kQuota);
  // The array is the program's own, and no part of what is measured.
  memset(static_cast<void*>(blocks), 0, sizeof(blocks));
  Attach(kTask);
  uint64_t held = 0;
  for (size_t i = 0; i < kBlocks; ++i) {
    if (i % 1000 == 0) Attach(kOtherTask);
    blocks[i] = Take(SizeOf(i), i);
    if (i % 1000 == 0) Attach(kTask);
    held += SizeOf(i);
  }
  REQUIRE_COMPARE(held, >=, 4 * kQuota);
  CheckAll();
  REQUIRE_COMPARE(OwnerOf(blocks[kBlocks - 1].words), ==, kTask);
  REQUIRE_COMPARE(OwnerOf(blocks[kBlocks - 1000].words), ==, kOtherTask);
  RequireBooksMatchPages();
  // Every third block is another, every seventh is longer.
  for (size_t i = 0; i < kBlocks; i += 3) {
    free(blocks[i].words);
    blocks[i] = Take(SizeOf(i), ~i);
  }
  for (size_t i = 0; i < kBlocks; i += 7) {
    auto* grown = static_cast<uint64_t*>(realloc(blocks[i].words, blocks[i].bytes * 2));
    REQUIRE(grown != nullptr);
    blocks[i].words = grown;
    REQUIRE(blocks[i].IsIntact());
    blocks[i].bytes *= 2;
    blocks[i].Fill();
  }
  CheckAll();
  RequireBooksMatchPages();
  RequireKeptSmall(kTask, resident + sizeof(blocks));
  // Tasks end, and what they leave is freed by nobody's thread.
  Detach();
  End(kTask);
  CheckAll();
  for (const Filled& block : blocks) free(block.words);
  RequireBooksMatchPages();
  Begin(kTask, kQuota);
  Attach(kTask);
  const Filled last = Take(100, 1);
  REQUIRE_COMPARE(Charged(kTask), >=, 100);
  free(last.words);
  return 0;
}
