// Any address in any live block of a task is encoded as 13 bits of page number and 51 of
// offset, and decoded again; different addresses have different words. What is no live block
// of a live task has none.
#include <malloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>

#include <atomic>
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

// A block that goes elsewhere as it grows is encoded where it is now, and not where it was.
void MovedBlock() {
  Begin(kTask);
  Attach(kTask);
  Block block = {static_cast<char*>(malloc(20 * kMiB)), 20 * kMiB};
  REQUIRE(block.start != nullptr);
  int moves = 0;
  for (int i = 0; i < 30 && moves < 3; ++i) {
    std::map<uint64_t, char*> seen;
    RequireRoundTrip(block, kTask, &seen);
    char* const before = block.start;
    block.size += 10 * kMiB;
    // Whoever has the addresses behind it, it cannot stay.
    void* const behind = mmap(before + block.size - 10 * kMiB, 64 * kMiB, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    block.start = static_cast<char*>(realloc(before, block.size));
    REQUIRE(block.start != nullptr);
    if (block.start != before) {
      ++moves;
      REQUIRE_COMPARE(EncodeError(before), ==, ENOENT);
    }
    if (behind != MAP_FAILED) munmap(behind, 64 * kMiB);
    std::map<uint64_t, char*> seen_now;
    RequireRoundTrip(block, kTask, &seen_now);
  }
  REQUIRE_COMPARE(moves, >=, 1);
  free(block.start);
  REQUIRE_COMPARE(EncodeError(block.start), ==, ENOENT);
  Detach();
  End(kTask);
}

// While a block moves another thread asks for its old and new addresses, and so does a signal
// handler: it is the task's, or nobody's.
std::atomic<char*> g_moving{nullptr};

void AskForMoving() {
  char* const address = g_moving.load();
  uint64_t owner = 0;
  const int error = taskmem_owner_of(address, &owner);
  REQUIRE(error == ENOENT || (error == 0 && (owner == kTask || owner == TASKMEM_UNTRACKED)));
  uint64_t encoded = 0;
  const int encode_error = taskmem_encode(address, &encoded);
  REQUIRE(encode_error == 0 || encode_error == ENOENT || encode_error == ENOSPC);
}

void AskInHandler(int) {
  const int saved_errno = errno;
  uint64_t owner = 0;
  taskmem_owner_of(g_moving.load(), &owner);
  errno = saved_errno;
}

void MovingBlock() {
  Begin(kTask);
  Attach(kTask);
  std::atomic<bool> is_done{false};
  g_moving = static_cast<char*>(malloc(20 * kMiB));
  std::thread asks([&] {
    Detach();
    while (!is_done) AskForMoving();
  });
  struct sigaction action = {};
  action.sa_handler = AskInHandler;
  action.sa_flags = SA_RESTART;
  REQUIRE(sigaction(SIGALRM, &action, nullptr) == 0);
  const itimerval often = {{0, 200}, {0, 200}};
  REQUIRE(setitimer(ITIMER_REAL, &often, nullptr) == 0);
  for (int i = 0; i < 300; ++i) {
    char* const before = g_moving;
    memset(before, i, kMiB);
    void* const behind = mmap(before + (64 + i) * kMiB, 64 * kMiB, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    char* const after = static_cast<char*>(realloc(before, (i % 7 * 40 + 20) * kMiB));
    REQUIRE(after != nullptr && after[kMiB - 1] == static_cast<char>(i));
    g_moving = after;
    if (behind != MAP_FAILED) munmap(behind, 64 * kMiB);
  }
  const itimerval never = {};
  REQUIRE(setitimer(ITIMER_REAL, &never, nullptr) == 0);
  is_done = true;
  asks.join();
  free(g_moving);
  Detach();
  malloc_trim(0);
  RequireBooksMatchPages();
  End(kTask);
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
  MovedBlock();
  MovingBlock();
  WordsAreEachTasksOwn();
}
