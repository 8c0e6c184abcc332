/* Without the preload every call answers ENOSYS and touches nothing. */
#include "shim/taskmem.h"
#include "tests/programs/support/check.h"

int main(void) {
  taskmem_usage usage = {0};
  taskmem_page page = {&usage, 1, 2, 3, 4};
  void* address = &usage;
  uint64_t id = 7;
  REQUIRE(taskmem_version() == NULL);
  REQUIRE_COMPARE(taskmem_task_begin(1, NULL), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_task_end(1, &usage), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_thread_attach(1, &id), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_thread_detach(), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_task_usage(1, &usage), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_thread_task(&id), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_task_info(1, NULL), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_tasks_next(&id, NULL), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_process_info(NULL), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_task_spill(1, 100, &id), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_task_set_quota(1, 1000), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_owner_of(&id, &id), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_page_allocate(100, &page), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_page_free(&page), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_encode(&id, &id), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_decode(1, 0, &address), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_sample_residency(), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_audit("audit.json"), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_next_mapping(&id, NULL), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_set_label("label"), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_on_refusal(NULL, NULL), ==, ENOSYS);
  REQUIRE_COMPARE(taskmem_walk_heaps(&id, &id), ==, ENOSYS);
  REQUIRE(id == 7);
  REQUIRE(page.address == &usage && page.serial == 3 && address == &usage);
  return 0;
}
