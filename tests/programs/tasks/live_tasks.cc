// 10,000 tasks live at once, each with blocks of its own; then as many tasks as
// there are slots, and one more.
#include <malloc.h>

#include <vector>

#include "tests/programs/support/tasks.h"

namespace {

constexpr uint64_t kTasks = 10000;

struct Blocks {
  void* small;
  void* medium;
};

void ManyTasks() {
  std::vector<Blocks> blocks(kTasks);
  for (uint64_t i = 0; i < kTasks; ++i) {
    Begin(kTask + i);
    Attach(kTask + i);
    blocks[i] = {malloc(100), malloc(3000)};
  }
  Detach();
  for (uint64_t i = 0; i < kTasks; ++i) {
    REQUIRE(OwnerOf(blocks[i].small) == kTask + i);
    REQUIRE(OwnerOf(blocks[i].medium) == kTask + i);
    REQUIRE_COMPARE(Charged(kTask + i), >=, 3100);
    REQUIRE_COMPARE(Charged(kTask + i), <, 20000);
  }
  for (uint64_t i = 0; i < kTasks; ++i) {
    free(blocks[i].small);
    free(blocks[i].medium);
  }
  malloc_trim(0);
  for (uint64_t i = 0; i < kTasks; ++i) {
    REQUIRE_COMPARE(Charged(kTask + i), ==, 0);
    End(kTask + i);
  }
}

void EverySlot() {
  uint64_t begun = 0;
  int result = 0;
  while ((result = taskmem_task_begin(kTask + begun, nullptr)) == 0) ++begun;
  REQUIRE_COMPARE(result, ==, EAGAIN);
  REQUIRE_COMPARE(begun, >, 60000);
  REQUIRE_COMPARE(begun, <, 65536);
  End(kTask + begun / 2);
  Begin(kTask + begun);
  REQUIRE_COMPARE(taskmem_task_begin(kTask + begun + 1, nullptr), ==, EAGAIN);
  for (uint64_t i = 0; i <= begun; ++i) {
    if (i != begun / 2) End(kTask + i);
  }
  Begin(kTask);
  End(kTask);
}

}  // namespace

int main() {
  ManyTasks();
  EverySlot();
}
