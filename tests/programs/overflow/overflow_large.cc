// Large blocks of four times the quota, of every kind, hold what was written into them.
#include <malloc.h>

#include "tests/programs/support/overflow.h"

namespace {

constexpr uint64_t kQuota = 64 * kMiB;
constexpr size_t kMost = 512;

Filled blocks[kMost];
size_t count = 0;
uint64_t held = 0;

void CheckAll() {
  for (size_t i = 0; i < count; ++i) {
    REQUIRE(blocks[i].IsIntact());
    REQUIRE_COMPARE(malloc_usable_size(blocks[i].words), >=, blocks[i].bytes);
    REQUIRE_COMPARE(OwnerOf(blocks[i].words), ==, kTask);
    REQUIRE_COMPARE(OwnerOf(reinterpret_cast<char*>(blocks[i].words) + blocks[i].bytes - 1), ==,
                    kTask);
  }
}

void FreeOne(uint64_t* random) {
  const size_t which = NextRandom(random) % count;
  REQUIRE(blocks[which].IsIntact());
  held -= blocks[which].bytes;
  free(blocks[which].words);
  blocks[which] = blocks[--count];
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t random = argc > 1 ? strtoull(argv[1], nullptr, 10) : 1;
  const uint64_t resident = PeakResidentBytes();
  Begin(kTask, kQuota);
  Attach(kTask);
  for (int round = 0; round < 3; ++round) {
    while (held < 4 * kQuota && count < kMost) {
      // From 136 KiB to 36 MiB, most of them small.
      const size_t bytes =
          (136 << 10) + (NextRandom(&random) % (36 * kMiB) >> NextRandom(&random) % 8);
      Filled block = {nullptr, bytes / 8 * 8, NextRandom(&random)};
      switch (NextRandom(&random) % 4) {
        case 0: {
          block.words = static_cast<uint64_t*>(calloc(1, block.bytes));
          REQUIRE(block.words != nullptr);
          for (size_t i = 0; i < block.bytes / 8; i += 64) REQUIRE(block.words[i] == 0);
          break;
        }
        case 1: {
          const size_t alignment = size_t{4096} << NextRandom(&random) % 14;
          void* aligned = nullptr;
          REQUIRE(posix_memalign(&aligned, alignment, block.bytes) == 0);
          REQUIRE(IsAligned(aligned, alignment));
          block.words = static_cast<uint64_t*>(aligned);
          break;
        }
        default:
          block.words = static_cast<uint64_t*>(malloc(block.bytes));
          REQUIRE(block.words != nullptr);
      }
      block.Fill();
      held += block.bytes;
      blocks[count++] = block;
    }
    CheckAll();
    RequireBooksMatchPages();
    for (int i = 0; i < 20; ++i) FreeOne(&random);
  }
  RequireKeptSmall(kTask, resident);
  while (count > 0) FreeOne(&random);
  RequireBooksMatchPages();
  REQUIRE_COMPARE(Charged(kTask), <=, kMiB);
  // What comes next is ordinary again.
  const Filled last = Take(8 * kMiB, 1);
  REQUIRE_COMPARE(Charged(kTask), >=, 8 * kMiB);
  free(last.words);
  return 0;
}
