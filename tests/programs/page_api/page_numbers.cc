// A task has 8192 page numbers. Once they are taken, malloc works on; numbers of pages that
// the allocator has given back are taken again.
#include <malloc.h>

#include <vector>

#include "tests/programs/support/tasks.h"

namespace {

constexpr uint32_t kNumbers = 8192;
constexpr size_t kLarge = 132 * 1024;

void OfPages() {
  Begin(kTask);
  Attach(kTask);
  std::vector<taskmem_page> pages(kNumbers);
  for (uint32_t i = 0; i < kNumbers; ++i) {
    REQUIRE_COMPARE(taskmem_page_allocate(64, &pages[i]), ==, 0);
    REQUIRE_COMPARE(pages[i].number, ==, i);
  }
  const uint64_t charged = Charged(kTask);
  taskmem_page more = {};
  for (int i = 0; i < 1000; ++i) {
    REQUIRE_COMPARE(taskmem_page_allocate(200'000, &more), ==, ENOSPC);
    REQUIRE(more.address == nullptr);
  }
  REQUIRE_COMPARE(Charged(kTask), ==, charged);
  uint64_t encoded;
  void* block = malloc(kLarge);
  REQUIRE(block != nullptr);
  REQUIRE_COMPARE(taskmem_encode(block, &encoded), ==, ENOSPC);
  // Pages that have a number can still be encoded.
  for (const taskmem_page& page : pages) {
    REQUIRE_COMPARE(taskmem_encode(page.address, &encoded), ==, 0);
    REQUIRE_COMPARE(encoded, ==, uint64_t{page.number} << 51);
  }
  REQUIRE_COMPARE(taskmem_page_free(&pages[4321]), ==, 0);
  REQUIRE_COMPARE(taskmem_encode(block, &encoded), ==, 0);
  REQUIRE_COMPARE(encoded >> 51, ==, 4321);
  free(block);
  // The block is gone, and so is its number, to whom it may serve.
  REQUIRE_COMPARE(taskmem_page_allocate(64, &pages[4321]), ==, 0);
  REQUIRE_COMPARE(pages[4321].number, ==, 4321);
  // Another task has all of its own.
  Begin(kTask + 1);
  Attach(kTask + 1);
  taskmem_page other;
  REQUIRE_COMPARE(taskmem_page_allocate(64, &other), ==, 0);
  REQUIRE_COMPARE(other.number, ==, 0);
  REQUIRE_COMPARE(taskmem_page_free(&other), ==, 0);
  Detach();
  for (taskmem_page& page : pages) REQUIRE_COMPARE(taskmem_page_free(&page), ==, 0);
  RequireBooksMatchPages();
  End(kTask);
  End(kTask + 1);
}

// Blocks that are encoded and freed, many more than there are numbers.
void OfFreedBlocks() {
  Begin(kTask);
  Attach(kTask);
  std::vector<void*> kept;
  void* block = nullptr;
  uint64_t encoded;
  for (uint32_t i = 0; i < 3 * kNumbers; ++i) {
    // Some stay, so that the others come in ever new places.
    block = malloc(kLarge + (i % 7) * 64 * 1024);
    REQUIRE(block != nullptr);
    REQUIRE_COMPARE(taskmem_encode(block, &encoded), ==, 0);
    void* decoded = nullptr;
    REQUIRE_COMPARE(taskmem_decode(kTask, encoded, &decoded), ==, 0);
    REQUIRE(decoded == block);
    if (i % 10 == 0) {
      kept.push_back(block);
    } else {
      free(block);
    }
  }
  // And small ones, each in a page that comes and goes.
  for (int i = 0; i < 200; ++i) {
    std::vector<void*> blocks;
    for (int n = 0; n < 300; ++n) {
      blocks.push_back(malloc(4000));
      REQUIRE_COMPARE(taskmem_encode(blocks.back(), &encoded), ==, 0);
    }
    for (void* small : blocks) free(small);
    malloc_trim(0);
  }
  for (void* large : kept) free(large);
  Detach();
  End(kTask);
  RequireBooksMatchPages();
}

// All numbers taken by blocks that live: the next is not encoded, until one goes.
void OfLiveBlocks() {
  Begin(kTask);
  Attach(kTask);
  std::vector<void*> blocks(kNumbers);
  uint64_t encoded;
  for (uint32_t i = 0; i < kNumbers; ++i) {
    blocks[i] = malloc(kLarge);
    REQUIRE_COMPARE(taskmem_encode(blocks[i], &encoded), ==, 0);
    REQUIRE_COMPARE(encoded >> 51, ==, i);
  }
  void* more = malloc(kLarge);
  REQUIRE(more != nullptr);
  REQUIRE_COMPARE(taskmem_encode(more, &encoded), ==, ENOSPC);
  taskmem_page page;
  REQUIRE_COMPARE(taskmem_page_allocate(100, &page), ==, ENOSPC);
  free(blocks[77]);
  REQUIRE_COMPARE(taskmem_encode(more, &encoded), ==, 0);
  REQUIRE_COMPARE(encoded >> 51, ==, 77);
  blocks[77] = more;
  for (void* block : blocks) free(block);
  Detach();
  End(kTask);
}

}  // namespace

int main() {
  Detach();
  OfPages();
  OfFreedBlocks();
  OfLiveBlocks();
}
