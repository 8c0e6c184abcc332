/* The API from C: what each call answers to bad input. errno stays as it was. */
#include "shim/taskmem.h"
#include "tests/programs/support/check.h"

static const uint64_t kTask = 1000000000;

int main(void) {
  taskmem_options options = {sizeof(taskmem_options), 0,
                             "a name that is much longer than the "
                             "forty-seven bytes that are shown of it"};
  taskmem_usage usage;
  taskmem_page page = {NULL, 0, 0, 0, 0};
  uint64_t id = 5;
  int on_stack = 0;
  void* block;
  const char* version = taskmem_version();
  int major, minor, patch;
  REQUIRE(version != NULL);
  REQUIRE(sscanf(version, "%d.%d.%d", &major, &minor, &patch) == 3);

  errno = 4321;
  REQUIRE_COMPARE(taskmem_task_begin(kTask, NULL), ==, 0);
  REQUIRE_COMPARE(taskmem_task_begin(kTask, NULL), ==, EEXIST);
  REQUIRE_COMPARE(taskmem_task_begin(kTask, &options), ==, EEXIST);
  REQUIRE_COMPARE(taskmem_task_begin(kTask + 1, &options), ==, 0);
  REQUIRE_COMPARE(taskmem_task_begin(TASKMEM_UNTRACKED, NULL), ==, EINVAL);
  options.size = 0;
  REQUIRE_COMPARE(taskmem_task_begin(kTask + 2, &options), ==, EINVAL);
  options.size = 1;
  REQUIRE_COMPARE(taskmem_task_begin(kTask + 2, &options), ==, EINVAL);
  options.size = sizeof(options);
  options.name = NULL;
  options.quota_bytes = 1;
  REQUIRE_COMPARE(taskmem_task_begin(kTask + 2, &options), ==, 0);

  REQUIRE_COMPARE(taskmem_task_usage(kTask, NULL), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_task_usage(kTask + 3, &usage), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_task_usage(kTask + 2, &usage), ==, 0);
  REQUIRE_COMPARE(usage.quota_bytes, ==, 1);
  REQUIRE_COMPARE(usage.charged_bytes, ==, 0);

  REQUIRE_COMPARE(taskmem_task_set_quota(kTask, 0), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_task_set_quota(kTask + 3, 100), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_task_set_quota(kTask, 123456789), ==, 0);
  REQUIRE_COMPARE(taskmem_task_usage(kTask, &usage), ==, 0);
  REQUIRE_COMPARE(usage.quota_bytes, ==, 123456789);

  REQUIRE_COMPARE(taskmem_thread_detach(), ==, 0);
  REQUIRE_COMPARE(taskmem_thread_attach(kTask, &id), ==, 0);
  REQUIRE(id == TASKMEM_UNTRACKED);
  REQUIRE_COMPARE(taskmem_thread_attach(kTask + 3, &id), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_thread_attach(kTask + 1, &id), ==, 0);
  REQUIRE(id == kTask);
  REQUIRE_COMPARE(taskmem_thread_attach(TASKMEM_UNTRACKED, &id), ==, 0);
  REQUIRE(id == kTask + 1);
  REQUIRE_COMPARE(taskmem_thread_detach(), ==, 0);

  block = malloc(1000);
  REQUIRE_COMPARE(taskmem_owner_of(block, NULL), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_owner_of(&on_stack, &id), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_owner_of((const void*)(uintptr_t)0x10, &id), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_owner_of((const void*)UINTPTR_MAX, &id), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_owner_of(block, &id), ==, 0);
  REQUIRE(id == TASKMEM_UNTRACKED);
  free(block);

  REQUIRE_COMPARE(taskmem_page_allocate(100, &page), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_thread_attach(kTask, NULL), ==, 0);
  REQUIRE_COMPARE(taskmem_page_allocate(100, NULL), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_page_allocate(0, &page), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_page_allocate(UINT64_C(17179869177), &page), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_page_allocate(UINT64_MAX, &page), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_page_free(NULL), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_page_free(&page), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_encode(&id, NULL), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_encode(NULL, &id), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_decode(kTask, 0, NULL), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_decode(kTask + 3, 0, &block), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_decode(kTask, 0, &block), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_page_allocate(100, &page), ==, 0);
  REQUIRE_COMPARE(taskmem_encode(page.address, &id), ==, 0);
  REQUIRE_COMPARE(taskmem_decode(kTask, id, &block), ==, 0);
  REQUIRE(block == page.address);
  REQUIRE_COMPARE(taskmem_page_free(&page), ==, 0);
  REQUIRE_COMPARE(taskmem_page_free(&page), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_thread_detach(), ==, 0);

  REQUIRE_COMPARE(taskmem_task_end(kTask + 3, &usage), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_task_end(kTask, &usage), ==, 0);
  REQUIRE_COMPARE(usage.quota_bytes, ==, 123456789);
  REQUIRE_COMPARE(taskmem_task_end(kTask, NULL), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_task_end(kTask + 1, NULL), ==, 0);
  REQUIRE_COMPARE(taskmem_task_end(kTask + 2, NULL), ==, 0);
  REQUIRE_COMPARE(errno, ==, 4321);
  return 0;
}
