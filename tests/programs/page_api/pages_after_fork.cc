// A child has its parent's pages, and goes its own way from there. The argument says how it
// is made.
#include <signal.h>
#include <sys/syscall.h>

#include <atomic>
#include <thread>

#include "tests/programs/support/tasks.h"
#include "tests/programs/support/wait_for.h"

namespace {

pid_t MakeChild(const char* how) {
  if (strcmp(how, "fork") == 0) return fork();
  REQUIRE(strcmp(how, "clone") == 0);
  return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
}

void ChildWork(const taskmem_page* pages, uint64_t word, const void* block) {
  LimitChild();
  void* decoded = nullptr;
  REQUIRE_COMPARE(taskmem_decode(kTask, word, &decoded), ==, 0);
  REQUIRE(decoded == block);
  uint64_t encoded = 0;
  REQUIRE_COMPARE(taskmem_encode(pages[1].address, &encoded), ==, 0);
  REQUIRE_COMPARE(encoded, ==, uint64_t{1} << 51);
  taskmem_page freed = pages[0];
  const uint64_t charged = Charged(kTask);
  REQUIRE_COMPARE(taskmem_page_free(&freed), ==, 0);
  REQUIRE_COMPARE(Charged(kTask), <, charged);
  freed = pages[0];
  REQUIRE_COMPARE(taskmem_page_free(&freed), ==, EINVAL);
  taskmem_page fresh;
  REQUIRE_COMPARE(taskmem_page_allocate(200'000, &fresh), ==, 0);
  REQUIRE_COMPARE(fresh.number, ==, 0);
  REQUIRE_COMPARE(taskmem_page_free(&fresh), ==, 0);
  End(kTask);
  freed = pages[1];
  REQUIRE_COMPARE(taskmem_page_free(&freed), ==, 0);
  _exit(0);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 1);
  const bool is_fork = strcmp(argv[1], "fork") == 0;
  Begin(kTask);
  Begin(kTask + 1);
  // Where fork handlers run, somebody is inside the pages meanwhile.
  std::atomic<bool> stop{false};
  std::thread works([&] {
    Attach(kTask + 1);
    while (is_fork && !stop.load()) {
      taskmem_page page;
      REQUIRE_COMPARE(taskmem_page_allocate(200'000, &page), ==, 0);
      REQUIRE_COMPARE(taskmem_page_free(&page), ==, 0);
    }
    Detach();
  });
  Attach(kTask);
  taskmem_page pages[2];
  for (taskmem_page& page : pages) {
    REQUIRE_COMPARE(taskmem_page_allocate(200'000, &page), ==, 0);
  }
  void* block = malloc(300'000);
  uint64_t word = 0;
  REQUIRE_COMPARE(taskmem_encode(block, &word), ==, 0);
  for (int i = 0; i < 30; ++i) {
    const pid_t child = MakeChild(argv[1]);
    REQUIRE(child >= 0);
    if (child == 0) ChildWork(pages, word, block);
    RequireChildSucceeds(child);
    void* decoded = nullptr;
    REQUIRE_COMPARE(taskmem_decode(kTask, 0, &decoded), ==, 0);
    REQUIRE(decoded == pages[0].address);
  }
  stop.store(true);
  works.join();
  for (taskmem_page& page : pages) REQUIRE_COMPARE(taskmem_page_free(&page), ==, 0);
  free(block);
  RequireBooksMatchPages();
}
