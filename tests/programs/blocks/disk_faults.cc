// Blocks on a disk that fails (failing_disk_library.cc): what fails is that eviction or that
// put; no block is lost or wrong, nothing is left behind, and it goes on when the disk works
// again. --memory is 64 MiB. The second argument is the errno value that a put gets.
#include <atomic>
#include <thread>
#include <vector>

#include "tests/programs/support/blocks.h"

namespace {

constexpr int kBlocks = 56;

std::string Name(int i) { return "block" + std::to_string(i); }

void RepairDisk() { REQUIRE(unlink(getenv("FAILING_DISK_WHILE")) == 0); }

// Files of blocks that are on the books, and nothing else.
void RequireFiles(int expected) {
  int files = 0;
  ForEachBlockFile(getenv("TASKMEM_SPILL_DIR"), [&](const std::string& path) {
    REQUIRE(path.find(".new") == path.npos);
    ++files;
  });
  REQUIRE_COMPARE(files, ==, expected);
}

int OnDisk() {
  int count = 0;
  for (int i = 0; i < kBlocks; ++i) count += Where(Name(i)) == "disk";
  return count;
}

// A task needs the room of blocks, and the disk takes few of them, or none.
void Evict() {
  Begin(kTask);
  Attach(kTask);
  for (int i = 0; i < kBlocks; ++i) REQUIRE_COMPARE(PutPattern(Name(i), kMiB), ==, 0);
  Blocks blocks;
  const int taken = blocks.Take(24);
  REQUIRE_COMPARE(taken, >=, 4);
  REQUIRE_COMPARE(taken, <, 24);
  const int on_disk = OnDisk();
  REQUIRE_COMPARE(on_disk, <, 6);
  RequireFiles(on_disk);
  // Who looks at them finds them all.
  for (int i = 0; i < kBlocks; ++i) RequirePattern(Name(i), kMiB);

  RepairDisk();
  REQUIRE_COMPARE(blocks.Take(24), >=, 24 - taken);
  REQUIRE_COMPARE(OnDisk(), >, on_disk);
  blocks.FreeAll();
  for (int i = 0; i < kBlocks; ++i) RequirePattern(Name(i), kMiB);
  for (int i = 0; i < kBlocks; ++i) {
    REQUIRE_COMPARE(taskmem_block_remove(Name(i).c_str()), ==, 0);
  }
  RequireFiles(0);
  End(kTask);
}

void Put(int error) {
  for (int i = 0; i < 3; ++i) {
    REQUIRE_COMPARE(PutPattern("direct", 8 * kMiB, TASKMEM_DISK_ONLY), ==, error);
    REQUIRE(!Contains("direct"));
    RequireFiles(0);
  }
  // What has no room in memory.
  REQUIRE_COMPARE(PutPattern("large", 80 * kMiB), ==, error);
  REQUIRE(!Contains("large"));
  // What needs no disk is not concerned.
  REQUIRE_COMPARE(PutPattern("small", kMiB), ==, 0);
  RequirePattern("small", kMiB);
  RepairDisk();
  for (const char* name : {"direct", "large"}) {
    REQUIRE_COMPARE(PutPattern(name, 80 * kMiB), ==, 0);
    RequirePattern(name, 80 * kMiB);
    REQUIRE_COMPARE(taskmem_block_remove(name), ==, 0);
  }
  RequireFiles(0);
}

// Threads put, read and remove while the disk fails now and then; until they are killed where
// `for_ever`.
void Storm(bool for_ever) {
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([=] {
      unsigned random = 12345 + t;
      for (int i = 0; for_ever || i < 40; ++i) {
        random = random * 1103515245 + 12345;
        const std::string name = "t" + std::to_string(t) + "_" + std::to_string(i % 20);
        const uint64_t bytes = 1 + (random >> 8) % (4 * kMiB);
        const int removed = taskmem_block_remove(name.c_str());
        REQUIRE(removed == 0 || removed == ENOENT);
        const int put = PutPattern(name, bytes);
        REQUIRE(put == 0 || put == ENOSPC || put == EIO || put == ENOMEM);
        taskmem_block block = {};
        const int got = taskmem_block_get(name.c_str(), &block);
        REQUIRE(got == 0 || got == ENOENT || got == ENOMEM || (got == EIO && put != 0));
        if (got == 0) {
          REQUIRE(HasPattern(block.data, block.bytes, SeedOf(name)));
          Release(block);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = arguments[1];
  const int error = count > 2 ? atoi(arguments[2]) : 0;
  if (what == "evict") Evict();
  if (what == "put") Put(error);
  if (what == "storm") Storm(/*for_ever=*/false);
  if (what == "storm until killed") Storm(/*for_ever=*/true);
  if (what == "nothing") return 0;
  RequireBooksMatchPages();
  return 0;
}
