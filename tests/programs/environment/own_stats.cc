// Says whether this process has a stats file with books in it: "yes" or "no".
#include "tests/programs/support/check.h"
#include "tests/support/stats_file.h"

int main() {
  void* block = malloc(1 << 20);
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  puts(stats.ok() && stats.ChargedBytes() >= 1 << 20 ? "yes" : "no");
  free(block);
}
