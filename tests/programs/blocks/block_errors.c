/* Cached blocks from C: what each call does, and what it answers to bad input. errno stays
 * as it was. */
#include "shim/taskmem.h"
#include "tests/programs/support/check.h"

static int FailSupply(void* context, void* to, uint64_t bytes) {
  (void)to;
  (void)bytes;
  return *(int*)context;
}

static taskmem_block_options Bytes(const void* data, uint64_t bytes) {
  taskmem_block_options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.level = TASKMEM_MEMORY_ONLY;
  options.bytes = bytes;
  options.data = data;
  return options;
}

static void TestNothingThere(void) {
  taskmem_block block;
  taskmem_block_status status;
  REQUIRE_COMPARE(taskmem_block_get("a", &block), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_block_remove("a"), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_block_contains("a"), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_block_info("a", &status), ==, ENOENT);
  memset(&block, 0, sizeof(block));
  REQUIRE_COMPARE(taskmem_block_release(&block), ==, EINVAL);
}

static void TestBadPuts(void) {
  char long_name[130];
  taskmem_block_options options = Bytes("hello", 5);
  memset(long_name, 'x', sizeof(long_name));
  long_name[128] = '\0';
  REQUIRE_COMPARE(taskmem_block_put(NULL, &options), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_block_put("", &options), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_block_put(long_name, &options), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_block_put("a", NULL), ==, EINVAL);
  options.size = sizeof(options) - 1;
  REQUIRE_COMPARE(taskmem_block_put("a", &options), ==, EINVAL);
  options = Bytes("hello", 5);
  options.level = 3;
  REQUIRE_COMPARE(taskmem_block_put("a", &options), ==, EINVAL);
  options = Bytes(NULL, 5);
  REQUIRE_COMPARE(taskmem_block_put("a", &options), ==, EINVAL);
  options = Bytes("hello", 5);
  options.supply = FailSupply;
  REQUIRE_COMPARE(taskmem_block_put("a", &options), ==, EINVAL);
  options = Bytes("hello", UINT64_MAX);
  REQUIRE_COMPARE(taskmem_block_put("a", &options), ==, EINVAL);
  options = Bytes("hello", INT64_MAX / 2);
  REQUIRE_COMPARE(taskmem_block_put("a", &options), ==, ENOMEM);
  /* There is no spill directory. */
  options = Bytes("hello", 5);
  options.level = TASKMEM_DISK_ONLY;
  REQUIRE_COMPARE(taskmem_block_put("a", &options), ==, ENOSPC);
  REQUIRE_COMPARE(taskmem_block_contains("a"), ==, ENOENT);
}

static void TestSupplierThatFails(void) {
  int error = EPROTO;
  taskmem_block_options options = Bytes(NULL, 5);
  options.supply = FailSupply;
  options.context = &error;
  REQUIRE_COMPARE(taskmem_block_put("a", &options), ==, EPROTO);
  REQUIRE_COMPARE(taskmem_block_contains("a"), ==, ENOENT);
}

static void TestLife(void) {
  taskmem_block first, second, copy;
  taskmem_block_status status;
  taskmem_block_options options = Bytes("hello", 5);
  REQUIRE_COMPARE(taskmem_block_put("a", &options), ==, 0);
  REQUIRE_COMPARE(taskmem_block_put("a", &options), ==, EEXIST);
  REQUIRE_COMPARE(taskmem_block_contains("a"), ==, 0);
  REQUIRE_COMPARE(taskmem_block_get("a", NULL), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_block_get(NULL, &first), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_block_get("a", &first), ==, 0);
  REQUIRE_COMPARE(taskmem_block_get("a", &second), ==, 0);
  REQUIRE(first.data == second.data && first.bytes == 5);
  REQUIRE(memcmp(first.data, "hello", 5) == 0);
  REQUIRE_COMPARE(first.kind, ==, TASKMEM_BLOCK_BYTES);
  REQUIRE_COMPARE(taskmem_block_info("a", NULL), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_block_info("a", &status), ==, 0);
  REQUIRE_COMPARE(status.level, ==, TASKMEM_MEMORY_ONLY);
  REQUIRE_COMPARE(status.pins, ==, 2);
  REQUIRE_COMPARE(status.memory_bytes, ==, 5);
  REQUIRE_COMPARE(status.in_memory, ==, 1);
  REQUIRE_COMPARE(status.on_disk, ==, 0);
  REQUIRE_COMPARE(taskmem_block_remove("a"), ==, EBUSY);
  copy = first;
  REQUIRE_COMPARE(taskmem_block_release(&first), ==, 0);
  REQUIRE(first.data == NULL && first.serial == 0);
  REQUIRE_COMPARE(taskmem_block_release(&first), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_block_release(&copy), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_block_remove("a"), ==, EBUSY);
  copy = second;
  copy.pin = 1000000;
  REQUIRE_COMPARE(taskmem_block_release(&copy), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_block_release(NULL), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_block_release(&second), ==, 0);
  REQUIRE_COMPARE(taskmem_block_remove("a"), ==, 0);
  REQUIRE_COMPARE(taskmem_block_remove("a"), ==, ENOENT);
}

static void TestEmptyBlock(void) {
  taskmem_block block;
  const taskmem_block_options options = Bytes("", 0);
  REQUIRE_COMPARE(taskmem_block_put("empty", &options), ==, 0);
  REQUIRE_COMPARE(taskmem_block_get("empty", &block), ==, 0);
  REQUIRE_COMPARE(block.bytes, ==, 0);
  REQUIRE_COMPARE(taskmem_block_release(&block), ==, 0);
  REQUIRE_COMPARE(taskmem_block_remove("empty"), ==, 0);
}

int main(void) {
  errno = 4321;
  TestNothingThere();
  TestBadPuts();
  TestSupplierThatFails();
  TestNothingThere();
  TestLife();
  TestEmptyBlock();
  REQUIRE_COMPARE(taskmem_task_begin(TASKMEM_STORAGE, NULL), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_thread_attach(TASKMEM_STORAGE - 1, NULL), ==, ENOENT);
  REQUIRE_COMPARE(errno, ==, 4321);
  return 0;
}
