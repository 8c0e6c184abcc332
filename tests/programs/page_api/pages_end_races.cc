// Tasks end while another thread allocates and encodes pages for them: what comes too late has
// no number, and a new task begins with none.
#include <atomic>
#include <thread>

#include "tests/programs/support/tasks.h"

namespace {

constexpr uint64_t kRounds = 20'000;

std::atomic<uint64_t> g_task{0};
std::atomic<bool> g_stop{false};

void Work() {
  uint64_t encoded;
  taskmem_page page;
  while (!g_stop.load()) {
    const uint64_t task = g_task.load();
    if (task == 0 || taskmem_thread_attach(task, nullptr) != 0) continue;
    const int error = taskmem_page_allocate(200'000, &page);
    if (error != 0) {
      REQUIRE_COMPARE(error, ==, ENOENT);
      continue;
    }
    const int encode_error = taskmem_encode(page.address, &encoded);
    REQUIRE(encode_error == 0 || encode_error == ENOENT);
    REQUIRE_COMPARE(taskmem_page_free(&page), ==, 0);
    void* block = malloc(300'000);
    const int block_error = taskmem_encode(block, &encoded);
    REQUIRE(block_error == 0 || block_error == ENOENT);
    free(block);
  }
  Detach();
}

}  // namespace

int main() {
  Detach();
  std::thread works(Work);
  for (uint64_t round = 0; round < kRounds; ++round) {
    const uint64_t id = kTask + round;
    Begin(id);
    void* decoded = nullptr;
    for (uint64_t number = 0; number < 3; ++number) {
      REQUIRE_COMPARE(taskmem_decode(id, number << 51, &decoded), ==, ENOENT);
    }
    g_task.store(id);
    for (uint64_t i = 0; i < round % 20; ++i) sched_yield();
    End(id);
  }
  g_stop.store(true);
  works.join();
  RequireBooksMatchPages();
}
