// operator new calls the new_handler until it succeeds, and lets through what
// the handler throws. The nothrow forms return nullptr instead.
#include <sys/resource.h>

#include <new>

#include "tests/programs/support/check.h"

namespace {

constexpr size_t kMiB = size_t{1} << 20;

struct OutOfPatience : std::bad_alloc {
  explicit OutOfPatience(int value) : value(value) {}
  int value;
};

int g_calls = 0;
void* g_reserve = nullptr;

void CallThreeTimes() {
  if (++g_calls == 3) std::set_new_handler(nullptr);
}

void Throw() {
  ++g_calls;
  throw OutOfPatience(42);
}

void GiveReserve() {
  ++g_calls;
  free(g_reserve);
  g_reserve = nullptr;
  std::set_new_handler(nullptr);
}

void LimitAddressSpace(uint64_t more_bytes) {
  unsigned long pages = 0;
  FILE* statm = fopen("/proc/self/statm", "r");
  REQUIRE(statm != nullptr && fscanf(statm, "%lu", &pages) == 1);
  fclose(statm);
  const rlimit limit = {pages * 4096 + more_bytes, RLIM_INFINITY};
  REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
}

}  // namespace

int main() {
  const size_t impossible = HideSize(PTRDIFF_MAX);
  std::set_new_handler(CallThreeTimes);
  bool caught = false;
  try {
    Hide(::operator new(impossible));
  } catch (const std::bad_alloc&) {
    caught = true;
  }
  REQUIRE(caught);
  REQUIRE_COMPARE(g_calls, ==, 3);

  std::set_new_handler(Throw);
  g_calls = 0;
  int value = 0;
  try {
    Hide(::operator new[](impossible, std::align_val_t{128}));
  } catch (const OutOfPatience& error) {
    value = error.value;
  }
  REQUIRE_COMPARE(value, ==, 42);
  REQUIRE(::operator new(impossible, std::nothrow) == nullptr);
  REQUIRE(::operator new[](impossible, std::align_val_t{64}, std::nothrow) == nullptr);
  REQUIRE_COMPARE(g_calls, ==, 3);

  LimitAddressSpace(900 * kMiB);
  g_reserve = malloc(600 * kMiB);
  REQUIRE(g_reserve != nullptr);
  g_calls = 0;
  std::set_new_handler(GiveReserve);
  void* block = ::operator new(500 * kMiB);
  REQUIRE_COMPARE(g_calls, ==, 1);
  REQUIRE(block != nullptr && g_reserve == nullptr);
  static_cast<char*>(block)[500 * kMiB - 1] = 1;
  ::operator delete(block);
}
