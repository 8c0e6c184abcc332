// realloc(p, 0) frees p: doing it for ever does not grow the process.
#include "tests/programs/support/check.h"

int main() {
  const uint64_t before = ResidentBytes();
  for (int i = 0; i < 2000; ++i) {
    char* block = static_cast<char*>(malloc(1 << 20));
    REQUIRE(block != nullptr);
    memset(block, 1, 1 << 20);
    REQUIRE(realloc(Hide(block), HideSize(0)) == nullptr);
  }
  REQUIRE_COMPARE(ResidentBytes(), <, before + (uint64_t{128} << 20));
}
