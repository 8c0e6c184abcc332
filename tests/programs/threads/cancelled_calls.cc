// The malloc family has no cancellation points: a thread that is cancelled goes on through all
// of it, and ends at the first call that is one.
#include <malloc.h>
#include <pthread.h>

#include "tests/programs/support/check.h"

namespace {

volatile int g_passed = 0;

void* Call(void*) {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  REQUIRE(pthread_cancel(pthread_self()) == 0);
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, nullptr);
  malloc_stats();
  for (const size_t size : {size_t{10}, size_t{5000}, size_t{300'000}, size_t{40'000'000}}) {
    void* block = Hide(malloc(size));
    REQUIRE(block != nullptr);
    block = Hide(realloc(block, size * 2));
    REQUIRE(block != nullptr);
    free(block);
    free(Hide(calloc(2, size)));
    free(Hide(aligned_alloc(4096, size)));
  }
  // Refused, where there is a quota.
  for (int i = 0; i < 20; ++i) free(Hide(malloc(size_t{1} << 30)));
  (void)mallinfo2();
  malloc_trim(0);
  g_passed = 1;
  pthread_testcancel();
  return nullptr;
}

}  // namespace

int main() {
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, Call, nullptr) == 0);
  void* result = nullptr;
  REQUIRE(pthread_join(thread, &result) == 0);
  REQUIRE(result == PTHREAD_CANCELED);
  REQUIRE(g_passed == 1);
}
