// --memory is 64 MiB, half of it for storage. Blocks take what tasks leave; a task's
// allocations evict blocks above storage's half, in the order of their last use; what is
// pinned stays. The argument says whether there is a spill directory.
#include "tests/programs/support/blocks.h"

namespace {

constexpr int kBlocks = 60;

std::string Name(int i) { return "block" + std::to_string(i); }

int InMemory() {
  int count = 0;
  for (int i = 0; i < kBlocks; ++i) count += Where(Name(i)).rfind("memory", 0) == 0;
  return count;
}

}  // namespace

int main(int, char** argv) {
  const bool has_disk = argv[1] == std::string("disk");
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  Begin(kTask);
  Attach(kTask);
  const uint64_t charged = Charged(kTask);
  for (int i = 0; i < kBlocks; ++i) REQUIRE_COMPARE(PutPattern(Name(i), kMiB), ==, 0);
  // A block is nobody's task.
  REQUIRE_COMPARE(Charged(kTask) - charged, <, 64 * 1024);
  REQUIRE_COMPARE(StoragePool(stats), ==, kBlocks * kMiB);
  REQUIRE_COMPARE(StorageBook(stats), >=, kBlocks * kMiB);
  REQUIRE_COMPARE(StorageBook(stats), <, (kBlocks + 2) * kMiB);
  const taskmem_block pinned = Get(Name(0));
  uint64_t owner = 0;
  REQUIRE_COMPARE(taskmem_owner_of(pinned.data, &owner), ==, ENOENT);  // no block of malloc
  RequirePattern(Name(1), kMiB);                                       // used last

  // More than is left: blocks go.
  Blocks blocks;
  REQUIRE_COMPARE(blocks.Take(24), ==, 24);
  REQUIRE_COMPARE(InMemory(), <, 44);
  REQUIRE_COMPARE(InMemory(), >=, 32);
  REQUIRE_COMPARE(StoragePool(stats), ==, static_cast<uint64_t>(InMemory()) * kMiB);
  REQUIRE(Where(Name(0)) == "memory" && Where(Name(1)) == "memory");
  REQUIRE(Where(Name(2)) == (has_disk ? "disk" : "nowhere"));
  REQUIRE(HasPattern(pinned.data, kMiB, SeedOf(Name(0))));
  // But not below storage's half.
  REQUIRE_COMPARE(blocks.Take(64), <=, 8);
  REQUIRE_COMPARE(InMemory(), >=, 32);
  REQUIRE(malloc(8 * kMiB) == nullptr);

  const taskmem::ReclaimBook& reclaim = stats.reclaim_book(*stats.Find(kTask));
  const auto gone = static_cast<uint64_t>(kBlocks - InMemory());
  REQUIRE_COMPARE(reclaim.evicted_blocks.load(), ==, gone);
  REQUIRE_COMPARE(reclaim.evicted_bytes.load(), ==, gone * kMiB);
  REQUIRE_COMPARE(reclaim.written_bytes.load(), ==, has_disk ? gone * kMiB : 0);

  // Storage takes none of it back while the task has it.
  REQUIRE_COMPARE(PutPattern("large", 40 * kMiB, TASKMEM_MEMORY_ONLY), ==, ENOMEM);
  REQUIRE_COMPARE(blocks.count(), >=, 24);
  if (has_disk) {
    REQUIRE_COMPARE(PutPattern("large", 100 * kMiB), ==, 0);  // larger than all memory
    REQUIRE(Where("large") == "disk");
    blocks.FreeAll();
    RequirePattern("large", 100 * kMiB);
    REQUIRE_COMPARE(taskmem_block_remove("large"), ==, 0);
    const uint64_t read = reclaim.read_bytes.load();
    REQUIRE_COMPARE(read, ==, 100 * kMiB);
    for (int i = 0; i < kBlocks; ++i) RequirePattern(Name(i), kMiB);
    REQUIRE_COMPARE(reclaim.read_bytes.load(), >=, read + gone * kMiB);
  }
  blocks.FreeAll();
  Release(pinned);
  End(kTask);
  // They outlive the task.
  for (int i = 0; i < kBlocks; ++i) {
    const bool stays = has_disk || Contains(Name(i));
    if (stays) RequirePattern(Name(i), kMiB);
    REQUIRE_COMPARE(taskmem_block_remove(Name(i).c_str()), ==, stays ? 0 : ENOENT);
  }
  REQUIRE_COMPARE(StoragePool(stats), ==, 0);
  REQUIRE_COMPARE(StorageBook(stats), <, 64 * 1024);
  RequireBooksMatchPages();
  return 0;
}
