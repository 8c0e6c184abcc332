// A task whose charge changes at random moments, to be recorded. Writes what the books said after
// each change: "charged <bytes>", then "peak <bytes>". Then, as task kTask + 1, is refused what
// passes its quota: "refused <times>". Arguments: the seed, the changes.
#include <time.h>

#include <random>
#include <vector>

#include "tests/programs/support/tasks.h"

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  std::mt19937 random(static_cast<unsigned>(atoi(argv[1])));
  const size_t changes = static_cast<size_t>(atoi(argv[2]));
  Detach();
  std::vector<uint64_t> charged(changes);
  std::vector<void*> blocks;
  blocks.reserve(changes);
  Begin(kTask, TASKMEM_NO_QUOTA, "changing");
  Attach(kTask);
  for (size_t i = 0; i < changes; ++i) {
    // One call changes it, so that nobody sees anything in between.
    constexpr size_t kMost = 40;
    if (blocks.empty() || (blocks.size() < kMost && random() % 2 == 0)) {
      blocks.push_back(malloc((size_t{1} << 20) + random() % (size_t{8} << 20)));
      REQUIRE(blocks.back() != nullptr);
    } else {
      const size_t which = random() % blocks.size();
      free(blocks[which]);
      blocks[which] = blocks.back();
      blocks.pop_back();
    }
    charged[i] = Charged(kTask);
    const timespec nap = {0, static_cast<long>(random() % 4'000'000)};
    nanosleep(&nap, nullptr);
  }
  Detach();
  const uint64_t peak = Usage(kTask).peak_charged_bytes;
  Begin(kTask + 1, 8 * kMiB, "refused");
  Attach(kTask + 1);
  constexpr int kRefused = 3;
  for (int i = 0; i < kRefused; ++i) REQUIRE(malloc(16 * kMiB) == nullptr);
  End(kTask + 1);
  // Begins and ends between two looks.
  Begin(kTask + 2, TASKMEM_NO_QUOTA, "short");
  Attach(kTask + 2);
  void* const kept = malloc(3 * kMiB);
  REQUIRE(kept != nullptr);
  End(kTask + 2);
  for (const uint64_t bytes : charged) {
    printf("charged %llu\n", static_cast<unsigned long long>(bytes));
  }
  printf("peak %llu\nrefused %d\n", static_cast<unsigned long long>(peak), kRefused);
}
