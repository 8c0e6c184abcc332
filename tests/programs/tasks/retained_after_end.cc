// What a task leaves behind stays charged to it after its end, until it is
// freed. Its id can be begun again at once, with books of its own.
#include <malloc.h>

#include "tests/programs/support/tasks.h"
#include "tests/support/stats_file.h"

using taskmem::TaskBook;
using taskmem::TaskState;
using taskmem::test::StatsFile;

namespace {

// The book of the ended task.
const TaskBook* Retained(const StatsFile& stats) {
  for (uint32_t slot = taskmem::kFirstTaskSlot; slot < stats.slots(); ++slot) {
    const TaskBook& book = stats.book(slot);
    if (book.task_id.load() == kTask && book.state.load() == TaskState::kEnded) return &book;
  }
  return nullptr;
}

}  // namespace

int main() {
  const StatsFile stats = StatsFile::Own();
  REQUIRE(stats.ok());
  Begin(kTask, TASKMEM_NO_QUOTA, "leaves much behind");
  Attach(kTask);
  void* large = malloc(4 * kMiB);
  constexpr int kBlocks = 10000;
  static void* blocks[kBlocks];
  for (void*& block : blocks) block = malloc(200);
  taskmem_usage usage;
  REQUIRE_COMPARE(taskmem_task_end(kTask, &usage), ==, 0);
  REQUIRE_COMPARE(usage.charged_bytes, >=, 4 * kMiB + kBlocks * 200);
  REQUIRE_COMPARE(taskmem_task_usage(kTask, &usage), ==, ENOENT);
  REQUIRE(OwnerOf(large) == kTask);
  REQUIRE(OwnerOf(blocks[500]) == kTask);
  void* later = malloc(100);
  REQUIRE(OwnerOf(later) == TASKMEM_UNTRACKED);
  free(later);

  RequireBooksMatchPages();
  REQUIRE(Retained(stats) != nullptr);
  REQUIRE(strcmp(Retained(stats)->name, "leaves much behind") == 0);
  REQUIRE_COMPARE(Retained(stats)->charged_bytes.load(), >=, 4 * kMiB + kBlocks * 200);
  Begin(kTask);
  REQUIRE_COMPARE(Charged(kTask), ==, 0);
  free(large);
  for (int i = 0; i < kBlocks / 2; ++i) free(blocks[i]);
  malloc_trim(0);
  REQUIRE(Retained(stats) != nullptr);
  REQUIRE_COMPARE(Retained(stats)->charged_bytes.load(), >=, kBlocks / 2 * 200);
  REQUIRE_COMPARE(Retained(stats)->charged_bytes.load(), <, kMiB * 2);
  for (int i = kBlocks / 2; i < kBlocks; ++i) free(blocks[i]);
  malloc_trim(0);
  REQUIRE(Retained(stats) == nullptr || Retained(stats)->charged_bytes.load() == 0);
  REQUIRE_COMPARE(Charged(kTask), ==, 0);
  End(kTask);
}
