// A request that fails because of the quota is one refusal in the books, in whichever form it
// is made. With a new_handler each call of the handler is followed by another attempt.
#include <malloc.h>
#include <sys/mman.h>

#include <cstring>
#include <new>

#include "tests/programs/support/tasks.h"

namespace {

constexpr size_t kLarge = 64 * kMiB;

int g_calls = 0;
int g_calls_until_gone = 0;
void* g_reserve = nullptr;

struct OutOfPatience : std::bad_alloc {};

void GiveUpAfterSome() {
  if (++g_calls == g_calls_until_gone) std::set_new_handler(nullptr);
}

void Throw() {
  ++g_calls;
  throw OutOfPatience();
}

void GiveReserve() {
  ++g_calls;
  free(g_reserve);
  g_reserve = nullptr;
}

template <typename Request>
uint64_t RefusalsOf(Request request) {
  const uint64_t before = Usage(kTask).refusals;
  request();
  return Usage(kTask).refusals - before;
}

template <typename New>
bool Throws(New allocate) {
  try {
    Hide(allocate());
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

// Fails, and counts as `expected` refusals, with every form of operator new.
void TryThrowingForms(uint64_t expected, void (*prepare)()) {
  constexpr auto kAlign = std::align_val_t{128};
  const auto expect = [=](auto allocate) {
    prepare();
    REQUIRE_COMPARE(RefusalsOf([&] { REQUIRE(Throws(allocate)); }), ==, expected);
  };
  expect([] { return ::operator new(kLarge); });
  expect([] { return ::operator new[](kLarge); });
  expect([=] { return ::operator new(kLarge, kAlign); });
  expect([=] { return ::operator new[](kLarge, kAlign); });
}

void TryNothrowForms(uint64_t expected, void (*prepare)()) {
  constexpr auto kAlign = std::align_val_t{128};
  const auto expect = [=](auto allocate) {
    prepare();
    REQUIRE_COMPARE(RefusalsOf([&] { REQUIRE(allocate() == nullptr); }), ==, expected);
  };
  expect([] { return Hide(::operator new(kLarge, std::nothrow)); });
  expect([] { return Hide(::operator new[](kLarge, std::nothrow)); });
  expect([=] { return Hide(::operator new(kLarge, kAlign, std::nothrow)); });
  expect([=] { return Hide(::operator new[](kLarge, kAlign, std::nothrow)); });
}

void TryC() {
  const auto expect_one = [](auto allocate) {
    REQUIRE_COMPARE(RefusalsOf([&] { REQUIRE(Hide(allocate()) == nullptr); }), ==, 1);
  };
  expect_one([] { return malloc(kLarge); });
  expect_one([] { return calloc(kLarge / 16, 16); });
  expect_one([] { return reallocarray(nullptr, kLarge / 16, 16); });
  expect_one([] { return memalign(4096, kLarge); });
  expect_one([] { return memalign(uint64_t{1} << 21, kLarge); });
  expect_one([] { return aligned_alloc(64, kLarge); });
  expect_one([] { return valloc(kLarge); });
  expect_one([] { return pvalloc(kLarge); });
  expect_one([] {
    void* block = nullptr;
    REQUIRE_COMPARE(posix_memalign(&block, 256, kLarge), ==, ENOMEM);
    return block;
  });
  expect_one([] {
    void* mapping =
        mmap(nullptr, kLarge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mapping == MAP_FAILED ? nullptr : mapping;
  });
  for (const size_t size : {size_t{100}, size_t{100'000}, size_t{4 * kMiB}}) {
    void* block = malloc(size);
    REQUIRE(block != nullptr);
    expect_one([block] { return realloc(block, kLarge); });
    free(block);
  }
}

// A realloc that makes a block smaller is no request that fails: where the block cannot move it
// stays where it is.
void TryShrinking() {
  char* const large = static_cast<char*>(Hide(malloc(12 * kMiB)));
  REQUIRE(large != nullptr);
  memset(large, 42, 2 * kMiB);
  void* filled[128];
  int count = 0;
  while (Charged(kTask) + 300'000 < 32 * kMiB) filled[count++] = Hide(malloc(300'000));
  for (const size_t size : {5 * kMiB, kMiB, uint64_t{400'000}}) {
    REQUIRE_COMPARE(RefusalsOf([=] {
                      errno = 0;
                      char* const smaller = static_cast<char*>(Hide(realloc(large, size)));
                      REQUIRE(smaller == large);
                      REQUIRE_COMPARE(errno, ==, 0);
                      REQUIRE_COMPARE(smaller[0], ==, 42);
                      REQUIRE_COMPARE(smaller[300'000], ==, 42);
                    }),
                    ==, 0);
  }
  while (count > 0) free(filled[--count]);
  // Where there is room it gives memory back.
  const uint64_t before = Charged(kTask);
  void* const smaller = Hide(realloc(large, 300'000));
  REQUIRE(Charged(kTask) < before - 8 * kMiB);
  free(smaller);
}

// A block that grows where it is has been given: a program that is refused something and then
// gets on is never let through, whose budget is less than the number of its refusals.
void TryGrowingInPlace(size_t start_bytes, size_t grown_bytes) {
  for (int i = 0; i < 10; ++i) {
    // It moves, and has room from then on.
    char* const block = static_cast<char*>(Hide(realloc(Hide(malloc(kMiB)), start_bytes)));
    REQUIRE(block != nullptr);
    void* filled[32];
    int count = 0;
    while (Charged(kTask) + 2 * kMiB < 32 * kMiB) filled[count++] = Hide(malloc(kMiB));
    REQUIRE_COMPARE(RefusalsOf([=] { REQUIRE(Hide(malloc(grown_bytes)) == nullptr); }), ==, 1);
    while (count > 0) free(filled[--count]);
    REQUIRE_COMPARE(RefusalsOf([=] { REQUIRE(Hide(realloc(block, grown_bytes)) == block); }), ==,
                    0);
    free(block);
  }
}

}  // namespace

int main(int argc, char** arguments) {
  Begin(kTask, 32 * kMiB, "refused");
  Attach(kTask);
  if (argc > 1 && strcmp(arguments[1], "growing") == 0) {
    TryGrowingInPlace(10 * kMiB, 11 * kMiB);  // large blocks
    TryGrowingInPlace(17 * kMiB, 18 * kMiB);  // huge ones
    return 0;
  }
  TryC();
  TryShrinking();
  const auto no_handler = [] { std::set_new_handler(nullptr); };
  TryThrowingForms(1, no_handler);
  TryNothrowForms(1, no_handler);

  const auto gives_up = [] {
    g_calls = 0;
    g_calls_until_gone = 3;
    std::set_new_handler(GiveUpAfterSome);
  };
  TryThrowingForms(4, gives_up);
  TryNothrowForms(4, gives_up);
  const auto throws = [] { std::set_new_handler(Throw); };
  TryThrowingForms(1, throws);
  TryNothrowForms(1, throws);

  // One attempt that fails, one after the handler that does not.
  for (const bool is_nothrow : {false, true}) {
    g_reserve = malloc(20 * kMiB);
    REQUIRE(g_reserve != nullptr);
    g_calls = 0;
    std::set_new_handler(GiveReserve);
    REQUIRE_COMPARE(RefusalsOf([=] {
                      void* block = is_nothrow ? ::operator new(24 * kMiB, std::nothrow)
                                               : ::operator new(24 * kMiB);
                      REQUIRE(Hide(block) != nullptr);
                      ::operator delete(block);
                    }),
                    ==, 1);
    REQUIRE_COMPARE(g_calls, ==, 1);
  }
  // What is left behind by a failure does not fail what follows.
  REQUIRE_COMPARE(RefusalsOf([] { ::operator delete(Hide(::operator new(kMiB))); }), ==, 0);
  RequireBooksMatchPages();
}
