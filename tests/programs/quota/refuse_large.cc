// At the quota large requests fail with ENOMEM, whoever makes them; small ones
// overdraw and are counted; the books say so.
#include <malloc.h>

#include <new>

#include "tests/programs/support/tasks.h"

namespace {

void RequireRefused(void* result) {
  REQUIRE(result == nullptr);
  REQUIRE_COMPARE(errno, ==, ENOMEM);
  errno = 0;
}

}  // namespace

int main() {
  Begin(kTask, 16 * kMiB, "large");
  Attach(kTask);
  void* blocks[32];
  int count = 0;
  errno = 0;
  while (count < 32 && (blocks[count] = malloc(kMiB)) != nullptr) Touch(blocks[count++], kMiB);
  REQUIRE_COMPARE(errno, ==, ENOMEM);
  REQUIRE_COMPARE(count, >=, 14);
  REQUIRE_COMPARE(count, <=, 16);
  taskmem_usage usage = Usage(kTask);
  REQUIRE_COMPARE(usage.refusals, ==, 1);
  REQUIRE_COMPARE(usage.overdrafts + usage.overdraft_bytes, ==, 0);

  errno = 0;
  RequireRefused(malloc(4 * kMiB));
  RequireRefused(calloc(4, kMiB));
  RequireRefused(memalign(4096, 4 * kMiB));
  RequireRefused(aligned_alloc(64, 4 * kMiB));
  RequireRefused(valloc(4 * kMiB));
  RequireRefused(pvalloc(4 * kMiB));
  RequireRefused(realloc(nullptr, 4 * kMiB));
  RequireRefused(reallocarray(nullptr, 4, kMiB));
  void* untouched = blocks;
  REQUIRE_COMPARE(posix_memalign(&untouched, 64, 4 * kMiB), ==, ENOMEM);
  REQUIRE(untouched == blocks);
  usage = Usage(kTask);
  REQUIRE_COMPARE(usage.refusals, >=, 10);
  REQUIRE_COMPARE(usage.overdrafts, ==, 0);
  // From here on the C++ runtime's exceptions overdraw.
  RequireRefused(::operator new(4 * kMiB, std::nothrow));
  bool caught = false;
  try {
    Hide(::operator new(4 * kMiB));
  } catch (const std::bad_alloc&) {
    caught = true;
  }
  REQUIRE(caught);

  for (uint64_t bytes = 0; bytes < 8 * kMiB; bytes += 1000) {
    char* block = static_cast<char*>(malloc(1000));
    REQUIRE(block != nullptr);
    block[999] = 1;
  }
  usage = Usage(kTask);
  REQUIRE_COMPARE(usage.overdrafts, >, 0);
  REQUIRE_COMPARE(usage.overdraft_bytes, >, 4 * kMiB);
  REQUIRE_COMPARE(usage.overdraft_bytes, ==, usage.charged_bytes - 16 * kMiB);
  REQUIRE_COMPARE(usage.peak_overdraft_bytes, >=, usage.overdraft_bytes);
  errno = 0;
  RequireRefused(malloc(kMiB));

  // Another task and untracked threads are not touched by it.
  Begin(kTask + 1, 16 * kMiB);
  Attach(kTask + 1);
  free(malloc(8 * kMiB));
  Detach();
  free(malloc(64 * kMiB));
  Attach(kTask);
  for (int i = 0; i < count; ++i) free(blocks[i]);
  void* block = malloc(4 * kMiB);
  REQUIRE(block != nullptr);
  free(block);
}
