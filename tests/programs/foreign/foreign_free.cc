// Frees an address that no malloc gave, of the kind named by the argument. The
// process lives on and its heap is whole; the test counts the lines it wrote.
#include <sys/mman.h>

#include "tests/programs/support/check.h"

namespace {

alignas(64) char g_static[4096];

void* Foreign(const char* kind, void* stack) {
  if (strcmp(kind, "stack") == 0) return stack;
  if (strcmp(kind, "static") == 0) return g_static + 64;
  if (strcmp(kind, "mapped") == 0) {
    void* page = mmap(nullptr, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED);
    return static_cast<char*>(page) + 16;
  }
  if (strcmp(kind, "wild") == 0) return reinterpret_cast<void*>(uintptr_t{0x123456789a0});
  if (strcmp(kind, "wild_high") == 0) return reinterpret_cast<void*>(uintptr_t{0x7ff1234567f0});
  if (strcmp(kind, "code") == 0) return reinterpret_cast<void*>(&Foreign);
  if (strcmp(kind, "misaligned") == 0) return static_cast<char*>(stack) + 3;
  REQUIRE(!"a kind that exists");
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  alignas(64) char stack[256];
  memset(stack, 5, sizeof(stack));
  void* block = malloc(1000);
  FillPattern(block, 1000, 1);
  void* address = Hide(Foreign(argv[1], stack + 64));
  errno = 77;
  if (strcmp(argv[2], "free") == 0) {
    free(address);
    REQUIRE_COMPARE(errno, ==, 77);
  } else {
    REQUIRE(realloc(address, 100) == nullptr);
    REQUIRE_COMPARE(errno, ==, ENOMEM);
  }
  REQUIRE(stack[64] == 5);
  REQUIRE(HasPattern(block, 1000, 1));
  free(block);
  for (size_t size = 1; size < 1000000; size = size * 2 + 1) {
    block = malloc(size);
    FillPattern(block, size, 2);
    REQUIRE(HasPattern(block, size, 2));
    free(block);
  }
}
