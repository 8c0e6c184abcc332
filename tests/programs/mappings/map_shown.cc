// What the program has mapped can be read from its stats segment: whose it is, what it is, how
// it is charged, and which library mapped it; and how much of its threads' stacks is in memory.
#include <pthread.h>
#include <sys/wait.h>

#include "accounting/mappings/mapping_tag.h"
#include "tests/programs/support/mappings.h"
#include "tests/support/stats_file.h"

namespace {

constexpr uint64_t kBytes = 3 * kMiB;
pthread_barrier_t g_barrier;

void* UseStack(void*) {
  char used[kMiB];
  Touch(Hide(used), sizeof(used));
  pthread_barrier_wait(&g_barrier);
  pthread_barrier_wait(&g_barrier);
  return nullptr;
}

// The tag of the range that contains `address`.
taskmem::MappingTag Find(const taskmem::MappingsTable& table, const void* address) {
  const auto at = reinterpret_cast<uint64_t>(address);
  REQUIRE(table.sequence.load() % 2 == 0);
  for (uint64_t i = 0; i < table.rows.load(); ++i) {
    const taskmem::MappedRow& row = table.row[i];
    if (row.start.load() <= at && at < row.end.load()) {
      return taskmem::MappingTag::Unpack(row.tag.load());
    }
  }
  REQUIRE(false);
}

}  // namespace

int main() {
  const taskmem::test::StatsFile stats = taskmem::test::StatsFile::Own();
  REQUIRE(stats.ok());
  const taskmem::MappingsTable& table = stats.mappings();
  Begin(kTask);
  Attach(kTask);
  void* const first = Anonymous(kBytes);
  void* const reserved = Anonymous(kBytes, PROT_NONE);
  void* const sparse = Anonymous(kBytes, PROT_READ | PROT_WRITE, MAP_NORESERVE);
  pthread_t thread;
  pthread_barrier_init(&g_barrier, nullptr, 2);
  REQUIRE(pthread_create(&thread, nullptr, UseStack, nullptr) == 0);
  pthread_barrier_wait(&g_barrier);
  REQUIRE(taskmem_sample_residency() == 0);
  pthread_barrier_wait(&g_barrier);
  pthread_join(thread, nullptr);

  REQUIRE(table.time_ns.load() != 0);
  REQUIRE_COMPARE(table.lost_events.load() + table.more_ranges.load(), ==, 0);
  const taskmem::MappingTag tag = Find(table, first);
  REQUIRE(stats.book(tag.slot).task_id.load() == kTask);
  REQUIRE(tag.rule == taskmem::ChargeRule::kLength);
  REQUIRE_COMPARE(tag.protection, ==, PROT_READ | PROT_WRITE);
  REQUIRE(tag.library < table.libraries.load());
  REQUIRE(strcmp(table.library[tag.library], "map_shown") == 0);
  REQUIRE(Find(table, reserved).rule == taskmem::ChargeRule::kNone);
  REQUIRE(Find(table, sparse).rule == taskmem::ChargeRule::kResidency);
  REQUIRE_COMPARE(table.thread_stack_bytes.load(), >=, kMiB);
  REQUIRE_COMPARE(table.thread_stack_bytes.load(), <, 2 * kMiB);

  // A child has a table of its own.
  const pid_t child = fork();
  if (child == 0) {
    munmap(reserved, kBytes);
    REQUIRE(taskmem_sample_residency() == 0);
    const taskmem::test::StatsFile own = taskmem::test::StatsFile::Own();
    REQUIRE(own.ok());
    Find(own.mappings(), first);
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
}
