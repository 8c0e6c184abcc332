// A million regions at a time: neighbours of two tasks, so that the kernel has one mapping where
// the library has many.
#include <random>

#include "tests/programs/support/mappings.h"

namespace {

constexpr uint32_t kPages = 1'000'000;
constexpr uint64_t kOther = kTask + 1;
char* const kBase = reinterpret_cast<char*>(uint64_t{1} << 44);

uint8_t g_owner[kPages];  // 0: nobody's; 1: kTask's; 2: kOther's

void Map(uint32_t page, uint8_t owner) {
  static uint8_t attached = 0;
  if (owner != attached) Attach(kTask + owner - 1);
  attached = owner;
  void* const at = kBase + page * kPage;
  REQUIRE(Anonymous(kPage, PROT_READ | PROT_WRITE, MAP_FIXED, at) == at);
  g_owner[page] = owner;
}

// The library knows just that. Returns in how many regions.
uint32_t RequireAsMapped() {
  uint32_t regions = 0;
  uint64_t pages[3] = {};
  uint32_t at = 0;
  taskmem_mapping mapping;
  const uint64_t base = reinterpret_cast<uint64_t>(kBase);
  const auto require_owner = [&](uint64_t until, uint8_t owner) {
    for (; at < until; ++at) {
      REQUIRE_COMPARE(g_owner[at], ==, owner);
      ++pages[owner];
    }
  };
  for (uint64_t from = base; taskmem_next_mapping(reinterpret_cast<void*>(from), &mapping) == 0 &&
                             mapping.start < base + kPages * kPage;
       from = mapping.end) {
    require_owner((mapping.start - base) / kPage, 0);
    require_owner((mapping.end - base) / kPage, mapping.task == kTask ? 1 : 2);
    ++regions;
  }
  require_owner(kPages, 0);
  for (uint8_t owner = 1; owner <= 2; ++owner) {
    // malloc holds a little, too.
    const uint64_t charged = Charged(kTask + owner - 1);
    REQUIRE_COMPARE(charged, >=, pages[owner] * kPage);
    REQUIRE_COMPARE(charged, <, pages[owner] * kPage + kMiB);
  }
  RequireBooksMatchPages();
  return regions;
}

}  // namespace

int main() {
  Begin(kTask);
  Begin(kOther);
  for (uint32_t page = 0; page < kPages; ++page) Map(page, page % 2 + 1);
  REQUIRE_COMPARE(RequireAsMapped(), ==, kPages);
  // Others take over here and there: neighbours become one, and are parted again.
  std::minstd_rand random(4711);
  for (int i = 0; i < 100'000; ++i) {
    Map(static_cast<uint32_t>(random() % kPages), static_cast<uint8_t>(random() % 2 + 1));
  }
  RequireAsMapped();
  // From below, one by one; from above, many at once; and a hole.
  for (uint32_t page = 0; page < 100'000; ++page) {
    REQUIRE(munmap(kBase + page * kPage, kPage) == 0);
    g_owner[page] = 0;
  }
  for (uint32_t end = kPages; end > 900'000; end -= 1000) {
    REQUIRE(munmap(kBase + (end - 1000) * kPage, 1000 * kPage) == 0);
    memset(g_owner + end - 1000, 0, 1000);
  }
  REQUIRE(munmap(kBase + 400'000 * kPage, 200'000 * kPage) == 0);
  memset(g_owner + 400'000, 0, 200'000);
  RequireAsMapped();
  REQUIRE(munmap(kBase, kPages * kPage) == 0);
  memset(g_owner, 0, sizeof(g_owner));
  REQUIRE_COMPARE(RequireAsMapped(), ==, 0u);
}
