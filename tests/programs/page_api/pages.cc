// Pages of the API: numbered from the lowest on, charged to the thread's task, freed once, by
// any thread, also after the task's end.
#include <malloc.h>

#include <thread>

#include "tests/programs/support/tasks.h"

namespace {

taskmem_page Allocate(uint64_t bytes) {
  taskmem_page page = {};
  REQUIRE_COMPARE(taskmem_page_allocate(bytes, &page), ==, 0);
  REQUIRE(page.address != nullptr);
  REQUIRE_COMPARE(page.bytes, ==, bytes);
  REQUIRE_COMPARE(page.serial, !=, 0);
  FillPattern(page.address, bytes, page.number);
  return page;
}

void Free(taskmem_page page) {
  REQUIRE(HasPattern(page.address, page.bytes, page.number));
  REQUIRE_COMPARE(taskmem_page_free(&page), ==, 0);
  // The page is cleared, so that it is not freed twice.
  REQUIRE(page.address == nullptr && page.serial == 0 && page.bytes == 0);
  REQUIRE_COMPARE(taskmem_page_free(&page), ==, EINVAL);
}

void Numbers() {
  Begin(kTask);
  Begin(kTask + 1);
  Attach(kTask);
  taskmem_page pages[10];
  for (uint32_t i = 0; i < 10; ++i) {
    pages[i] = Allocate(1000 + i * 50'000);
    REQUIRE_COMPARE(pages[i].number, ==, i);
    REQUIRE_COMPARE(pages[i].task, ==, kTask);
    REQUIRE(OwnerOf(pages[i].address) == kTask);
  }
  // Numbers are each task's own.
  Attach(kTask + 1);
  const taskmem_page other = Allocate(5000);
  REQUIRE_COMPARE(other.number, ==, 0);
  REQUIRE_COMPARE(other.task, ==, kTask + 1);
  Attach(kTask);
  // The lowest that is free comes next.
  Free(pages[7]);
  Free(pages[2]);
  pages[2] = Allocate(10);
  REQUIRE_COMPARE(pages[2].number, ==, 2);
  pages[7] = Allocate(10);
  REQUIRE_COMPARE(pages[7].number, ==, 7);
  const taskmem_page last = Allocate(10);
  REQUIRE_COMPARE(last.number, ==, 10);
  Free(last);
  Free(other);
  for (const taskmem_page& page : pages) Free(page);
  Detach();
  malloc_trim(0);
  REQUIRE_COMPARE(Charged(kTask), ==, 0);
  REQUIRE_COMPARE(Charged(kTask + 1), ==, 0);
  End(kTask);
  End(kTask + 1);
}

void Charges() {
  Begin(kTask);
  Begin(kTask + 1);
  Attach(kTask);
  // glibc keeps what it allocates for a thread with the thread's stack.
  std::thread([] {}).join();
  const uint64_t before = Charged(kTask);
  const taskmem_page page = Allocate(10 * kMiB);
  REQUIRE_COMPARE(Charged(kTask), ==, before + 10 * kMiB);
  REQUIRE_COMPARE(Charged(kTask + 1), ==, 0);
  RequireBooksMatchPages();
  // Who frees it is credited nothing; whose it is, is.
  std::thread([&page] {
    Attach(kTask + 1);
    Free(page);
    Detach();
  }).join();
  malloc_trim(0);
  REQUIRE_COMPARE(Charged(kTask), ==, before);
  RequireBooksMatchPages();
  Detach();
  End(kTask);
  End(kTask + 1);
}

// Copies of a page that was freed, also where another stands in its place.
void StaleCopies() {
  Begin(kTask);
  Attach(kTask);
  taskmem_page page = Allocate(200'000);
  taskmem_page copy = page;
  taskmem_page another_copy = page;
  Free(page);
  REQUIRE_COMPARE(taskmem_page_free(&copy), ==, EINVAL);
  REQUIRE(copy.address == another_copy.address);
  bool met = false;
  for (int i = 0; i < 1000; ++i) {
    page = Allocate(200'000);
    REQUIRE_COMPARE(page.serial, !=, copy.serial);
    met = met || page.address == copy.address;
    copy = another_copy;
    REQUIRE_COMPARE(taskmem_page_free(&copy), ==, EINVAL);
    REQUIRE(OwnerOf(page.address) == kTask);
    another_copy = page;
    Free(page);
  }
  REQUIRE(met);

  // What never was a page.
  taskmem_page made_up = {malloc(1000), 1000, kTask, 1, 0};
  REQUIRE_COMPARE(taskmem_page_free(&made_up), ==, EINVAL);
  free(made_up.address);
  made_up.address = &made_up;
  REQUIRE_COMPARE(taskmem_page_free(&made_up), ==, EINVAL);
  page = Allocate(200'000);
  taskmem_page inside = page;
  inside.address = static_cast<char*>(page.address) + 64;
  REQUIRE_COMPARE(taskmem_page_free(&inside), ==, EINVAL);
  inside = page;
  inside.serial = 0;
  REQUIRE_COMPARE(taskmem_page_free(&inside), ==, EINVAL);
  Free(page);
  Detach();
  End(kTask);
}

void Ends() {
  Begin(kTask, TASKMEM_NO_QUOTA, "ends first");
  Attach(kTask);
  const taskmem_page large = Allocate(300'000);
  const taskmem_page small = Allocate(100);
  void* decoded = nullptr;
  uint64_t encoded = 0;
  REQUIRE_COMPARE(taskmem_encode(large.address, &encoded), ==, 0);
  REQUIRE_COMPARE(taskmem_decode(kTask, encoded, &decoded), ==, 0);
  REQUIRE(decoded == large.address);
  taskmem_usage usage;
  REQUIRE_COMPARE(taskmem_task_end(kTask, &usage), ==, 0);
  REQUIRE_COMPARE(usage.charged_bytes, >=, 300'100);
  // The numbers are void, and the memory is not.
  REQUIRE_COMPARE(taskmem_decode(kTask, encoded, &decoded), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_encode(large.address, &encoded), ==, ENOENT);
  taskmem_page none;
  REQUIRE_COMPARE(taskmem_page_allocate(100, &none), ==, ENOENT);
  Begin(kTask, TASKMEM_NO_QUOTA, "the next of that id");
  Attach(kTask);
  REQUIRE_COMPARE(taskmem_decode(kTask, encoded, &decoded), ==, ENOENT);
  const taskmem_page next = Allocate(100);
  REQUIRE_COMPARE(next.number, ==, 0);
  Free(large);
  Free(small);
  REQUIRE_COMPARE(taskmem_encode(next.address, &encoded), ==, 0);
  REQUIRE_COMPARE(encoded, ==, 0);
  REQUIRE_COMPARE(taskmem_decode(kTask, encoded, &decoded), ==, 0);
  REQUIRE(decoded == next.address);
  Free(next);
  Detach();
  malloc_trim(0);
  RequireBooksMatchPages();
  End(kTask);
}

// A page that was given to free() by mistake: whoever gets the memory has a page of his own.
void FreedAsABlock() {
  Begin(kTask);
  Attach(kTask);
  taskmem_page lost = Allocate(200'000);
  free(lost.address);
  bool met = false;
  for (int i = 0; i < 100; ++i) {
    const taskmem_page page = Allocate(200'000);
    if (page.address == lost.address) {
      met = true;
      REQUIRE_COMPARE(taskmem_page_free(&lost), ==, EINVAL);
      // Its number went with it.
      const taskmem_page second = Allocate(100);
      REQUIRE_COMPARE(page.number + second.number, <=, 2);
      Free(second);
    }
    Free(page);
  }
  REQUIRE(met);
  Detach();
  End(kTask);
}

void Refusals() {
  Begin(kTask, 4 * kMiB);
  Attach(kTask);
  taskmem_page page = {&page, 77, 77, 77, 77};
  REQUIRE_COMPARE(taskmem_page_allocate(8 * kMiB, &page), ==, ENOMEM);
  REQUIRE(page.address == &page && page.serial == 77);
  REQUIRE_COMPARE(taskmem_page_allocate(UINT64_C(17179869176), &page), ==, ENOMEM);
  REQUIRE_COMPARE(Usage(kTask).refusals, ==, 2);
  // A refusal takes no number.
  const taskmem_page first = Allocate(kMiB);
  REQUIRE_COMPARE(first.number, ==, 0);
  Free(first);
  Detach();
  End(kTask);
}

}  // namespace

int main() {
  errno = 4321;
  Detach();
  taskmem_page page;
  REQUIRE_COMPARE(taskmem_page_allocate(100, &page), ==, ENOENT);
  Numbers();
  Charges();
  StaleCopies();
  Ends();
  FreedAsABlock();
  Refusals();
  REQUIRE_COMPARE(errno, ==, 4321);
}
