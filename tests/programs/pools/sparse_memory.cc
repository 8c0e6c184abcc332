// Untouched memory of twice what the machine has is given: no limit was set. By mappings
// ("maps"), or by large blocks ("blocks"), of which one page each is written to.
#include <sys/mman.h>

#include "tests/programs/support/check.h"

namespace {

constexpr size_t kGiB = size_t{1} << 30;
constexpr int kMost = 4096;

void* Take(bool maps) {
  if (!maps) return calloc(HideSize(1), kGiB);
  void* const got = mmap(nullptr, kGiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return got == MAP_FAILED ? nullptr : got;
}

}  // namespace

int main(int, char** arguments) {
  const bool maps = strcmp(arguments[1], "maps") == 0;
  static char* pieces[kMost];
  const long pages = sysconf(_SC_PHYS_PAGES);
  int count = static_cast<int>(static_cast<size_t>(pages) * 4096 / kGiB) * 2 + 2;
  if (count > kMost) count = kMost;
  for (int i = 0; i < count; ++i) {
    pieces[i] = static_cast<char*>(Take(maps));
    if (pieces[i] == nullptr) dprintf(STDERR_FILENO, "piece %d of %d\n", i, count);
    REQUIRE(pieces[i] != nullptr);
    pieces[i][i * 4096] = 1;
    // Small requests are served as ever.
    free(Hide(malloc(100)));
  }
  for (int i = 0; i < count; ++i) {
    if (maps) {
      REQUIRE(munmap(pieces[i], kGiB) == 0);
    } else {
      free(pieces[i]);
    }
  }
}
