// What the pools of this process are: "<memory> <execution> <storage>" in bytes. A task and
// no task get a little of it.
#include "tests/programs/support/pools.h"

int main() {
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  Begin(kTask);
  Attach(kTask);
  void* block = malloc(kMiB);
  REQUIRE(block != nullptr);
  Touch(block, kMiB);
  const taskmem::PoolStats& pools = stats.header().pools;
  printf("%llu %llu %llu\n", static_cast<unsigned long long>(pools.memory_bytes.load()),
         static_cast<unsigned long long>(pools.execution_size_bytes.load()),
         static_cast<unsigned long long>(pools.storage_size_bytes.load()));
  RequirePoolsMatchBooks(stats);
  free(block);
}
