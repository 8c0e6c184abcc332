// valloc and pvalloc give whole pages; pvalloc rounds the size up to them.
#include <malloc.h>

#include "tests/programs/support/check.h"

int main() {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (size_t size : {size_t{1}, size_t{100}, page - 1, page, page + 1, 10 * page, 1000 * page}) {
    void* block = valloc(size);
    REQUIRE(block != nullptr && IsAligned(block, page));
    FillPattern(block, size, 1);
    free(block);
    block = pvalloc(size);
    REQUIRE(block != nullptr && IsAligned(block, page));
    const size_t whole = (size + page - 1) / page * page;
    REQUIRE(malloc_usable_size(block) >= whole);
    FillPattern(block, whole, 2);
    REQUIRE(HasPattern(block, whole, 2));
    free(block);
  }
}
