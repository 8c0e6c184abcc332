// The statistics and tuning calls may be made, and answer in their own form.
#include <malloc.h>

#include "tests/programs/support/check.h"

int main() {
  void* block = malloc(100000);
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_ARENA_MAX, 1);
  const struct mallinfo2 info = mallinfo2();
  REQUIRE(info.arena + info.hblkhd < SIZE_MAX / 2);
  REQUIRE(info.uordblks < SIZE_MAX / 2);
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  mallinfo();

  char* text = nullptr;
  size_t length = 0;
  FILE* stream = open_memstream(&text, &length);
  REQUIRE_COMPARE(malloc_info(0, stream), ==, 0);
  fclose(stream);
  REQUIRE(strncmp(text, "<malloc", 7) == 0);
  REQUIRE(strstr(text, "</malloc>") != nullptr);
  free(text);
  REQUIRE(malloc_info(1, stdout) != 0);

  malloc_stats();  // writes to standard error
  free(block);
  const int trimmed = malloc_trim(0);
  REQUIRE(trimmed == 0 || trimmed == 1);
}
