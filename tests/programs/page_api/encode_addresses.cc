// Any address in any live block of a task is encoded as 13 bits of page number and 51 of
// offset, and decoded again; different addresses have different words. What is no live block
// of a live task has none.
#include <malloc.h>
#include <sys/mman.h>

#include <map>
#include <thread>
#include <vector>

#include "tests/programs/support/tasks.h"

namespace {

constexpr int kOffsetBits = 51;

struct Block {
  char* start;
  size_t size;
};

uint64_t Encode(const void* address) {
  uint64_t encoded = 0;
  REQUIRE_COMPARE(taskmem_encode(address, &encoded), ==, 0);
  return encoded;
}

int EncodeError(const void* address) {
  uint64_t encoded = 12345;
  const int error = taskmem_encode(address, &encoded);
  REQUIRE(error == 0 || encoded == 12345);
  return error;
}

char* Decode(uint64_t task, uint64_t encoded) {
  void* address = nullptr;
  REQUIRE_COMPARE(taskmem_decode(task, encoded, &address), ==, 0);
  return static_cast<char*>(address);
}

int DecodeError(uint64_t task, uint64_t encoded) {
  void* address = &address;
  const int error = taskmem_decode(task, encoded, &address);
  REQUIRE(error == 0 || address == &address);
  return error;
}

// Addresses all over the block: the first must not differ from any other's.
void RequireRoundTrip(const Block& block, uint64_t task, std::map<uint64_t, char*>* seen) {
  const size_t step = block.size < 100 ? 1 : block.size / 37;
  const uint64_t first = Encode(block.start);
  for (size_t at = 0; at < block.size; at += step) {
    const uint64_t encoded = Encode(block.start + at);
    REQUIRE(Decode(task, encoded) == block.start + at);
    // One page, one number: offsets go on.
    REQUIRE_COMPARE(encoded, ==, first + at);
    REQUIRE(seen->emplace(encoded, block.start + at).second);
  }
  const uint64_t last = Encode(block.start + block.size - 1);
  REQUIRE(Decode(task, last) == block.start + block.size - 1);
  REQUIRE_COMPARE(last, ==, first + block.size - 1);
}

// Pages of the API: the offset is the offset in the page.
void Pages() {
  Begin(kTask);
  Attach(kTask);
  for (const uint64_t bytes :
       {uint64_t{1}, uint64_t{100}, uint64_t{10'000}, uint64_t{200'000}, 20 * kMiB, 100 * kMiB}) {
    taskmem_page page;
    REQUIRE_COMPARE(taskmem_page_allocate(bytes, &page), ==, 0);
    char* const start = static_cast<char*>(page.address);
    for (const uint64_t at : {uint64_t{0}, bytes / 3, bytes / 2, bytes - 1}) {
      const uint64_t encoded = Encode(start + at);
      REQUIRE_COMPARE(encoded, ==, (uint64_t{page.number} << kOffsetBits) + at);
      REQUIRE(Decode(kTask, encoded) == start + at);
    }
    // The word is the page's, not the thread's.
    std::thread([&] {
      Detach();
      REQUIRE_COMPARE(Encode(start), ==, uint64_t{page.number} << kOffsetBits);
      REQUIRE(Decode(kTask, uint64_t{page.number} << kOffsetBits) == start);
    }).join();
    const uint64_t number = page.number;
    REQUIRE_COMPARE(taskmem_page_free(&page), ==, 0);
    REQUIRE_COMPARE(DecodeError(kTask, number << kOffsetBits), ==, ENOENT);
  }
  Detach();
  End(kTask);
}

// Blocks of any size and alignment, in pages of the task's own and in shared ones.
void AnyBlock(bool is_shared) {
  constexpr uint64_t kOther = kTask + 1;
  Begin(kTask);
  Begin(kOther);
  std::vector<Block> blocks;
  std::vector<Block> others;
  const auto add = [](std::vector<Block>& to, void* start, size_t size) {
    REQUIRE(start != nullptr);
    to.push_back({static_cast<char*>(start), size});
  };
  for (const size_t size : {1, 8, 24, 100, 1000, 3000, 9000, 40'000, 100'000, 128 * 1024}) {
    // Turn by turn, so that both have blocks in the same pages; or enough of them for
    // pages of their own.
    for (int i = 0; i < (is_shared ? 3 : 200); ++i) {
      if (size > 3000 && i >= 20) break;
      Attach(kTask);
      add(blocks, malloc(size), size);
      Attach(kOther);
      add(others, malloc(size), size);
    }
  }
  Attach(kTask);
  for (const size_t size :
       {size_t{129 * 1024}, size_t{500'000}, size_t{3} << 20, size_t{17} << 20, size_t{70} << 20}) {
    add(blocks, malloc(size), size);
  }
  for (size_t alignment = 32; alignment <= (size_t{64} << 20); alignment *= 4) {
    for (const size_t size : {size_t{100}, size_t{5000}, size_t{200'000}, size_t{40} << 20}) {
      add(blocks, memalign(alignment, size), size);
    }
  }
  Detach();
  std::map<uint64_t, char*> seen;
  for (const Block& block : blocks) RequireRoundTrip(block, kTask, &seen);
  std::map<uint64_t, char*> seen_of_other;
  for (const Block& block : others) RequireRoundTrip(block, kOther, &seen_of_other);
  // And again: nothing changes while the block lives.
  for (const auto& [encoded, address] : seen) {
    REQUIRE_COMPARE(Encode(address), ==, encoded);
    REQUIRE(Decode(kTask, encoded) == address);
  }
  Attach(kTask);
  for (const Block& block : blocks) free(block.start);
  Attach(kOther);
  for (const Block& block : others) free(block.start);
  Detach();
  malloc_trim(0);
  RequireBooksMatchPages();
  End(kTask);
  for (const auto& [encoded, address] : seen) {
    REQUIRE_COMPARE(DecodeError(kTask, encoded), ==, ENOENT);
  }
  End(kOther);
}

void NoBlock() {
  static int in_data = 1;
  int on_stack = 2;
  Detach();
  void* untracked = malloc(5000);
  void* untracked_large = malloc(500'000);
  void* mapped = mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(mapped != MAP_FAILED);
  for (const void* address :
       {static_cast<const void*>(&in_data), static_cast<const void*>(&on_stack),
        static_cast<const void*>(untracked), static_cast<const void*>(untracked_large),
        static_cast<const void*>(mapped), static_cast<const void*>(nullptr),
        reinterpret_cast<const void*>(uintptr_t{16}), reinterpret_cast<const void*>(UINTPTR_MAX),
        reinterpret_cast<const void*>(uintptr_t{1} << 47),
        reinterpret_cast<const void*>(&NoBlock)}) {
    REQUIRE_COMPARE(EncodeError(address), ==, ENOENT);
  }
  free(untracked);
  free(untracked_large);

  Begin(kTask);
  Attach(kTask);
  REQUIRE_COMPARE(DecodeError(kTask, 0), ==, ENOENT);
  REQUIRE_COMPARE(DecodeError(kTask, UINT64_MAX), ==, ENOENT);
  REQUIRE_COMPARE(DecodeError(kTask + 1, 0), ==, ENOENT);
  REQUIRE_COMPARE(DecodeError(TASKMEM_UNTRACKED, 0), ==, ENOENT);
  REQUIRE_COMPARE(taskmem_decode(kTask, 0, nullptr), ==, EINVAL);
  REQUIRE_COMPARE(taskmem_encode(&on_stack, nullptr), ==, EINVAL);
  void* large = malloc(500'000);
  void* small = malloc(100);
  const uint64_t word = Encode(large);
  REQUIRE_COMPARE(DecodeError(kTask, word + (uint64_t{1} << kOffsetBits)), ==, ENOENT);
  free(large);
  REQUIRE_COMPARE(EncodeError(large), ==, ENOENT);
  // What an ended task left is nobody's to encode.
  large = malloc(500'000);
  End(kTask);
  REQUIRE_COMPARE(EncodeError(large), ==, ENOENT);
  REQUIRE_COMPARE(EncodeError(small), ==, ENOENT);
  free(large);
  free(small);
}

// A task of its own has page 0, whoever had it before.
void WordsAreEachTasksOwn() {
  uint64_t words[3];
  void* blocks[3];
  for (uint64_t i = 0; i < 3; ++i) {
    Begin(kTask + i);
    Attach(kTask + i);
    blocks[i] = malloc(500'000);
    words[i] = Encode(blocks[i]);
    REQUIRE_COMPARE(words[i] >> kOffsetBits, ==, 0);
  }
  for (uint64_t i = 0; i < 3; ++i) REQUIRE(Decode(kTask + i, words[i]) == blocks[i]);
  Detach();
  for (uint64_t i = 0; i < 3; ++i) {
    free(blocks[i]);
    End(kTask + i);
  }
}

}  // namespace

int main() {
  Detach();
  Pages();
  AnyBlock(true);
  AnyBlock(false);
  NoBlock();
  WordsAreEachTasksOwn();
}
