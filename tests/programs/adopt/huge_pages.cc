// huge_pages LIBRARY some|none: large blocks of the library's allocator lie where the kernel was
// asked for huge pages, or not, whatever was in that memory before; those of malloc do not by
// themselves.
#include <dlfcn.h>
#include <sys/mman.h>

#include <string>

#include "tests/programs/support/check.h"

namespace {

// How many mappings the kernel was asked to give huge pages to: of all, or of those with `address`.
int AskedMappings(const void* address = nullptr) {
  FILE* const smaps = fopen("/proc/self/smaps", "r");
  REQUIRE(smaps != nullptr);
  int count = 0;
  bool is_it = true;
  char line[512];
  while (fgets(line, sizeof(line), smaps) != nullptr) {
    uintptr_t start;
    uintptr_t end;
    char space;
    if (sscanf(line, "%lx-%lx%c", &start, &end, &space) == 3 && space == ' ') {
      const auto wanted = reinterpret_cast<uintptr_t>(address);
      is_it = address == nullptr || (wanted >= start && wanted < end);
    }
    count += is_it && strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " hg") != nullptr;
  }
  fclose(smaps);
  return count;
}

void Fill(void* block, size_t size) {
  REQUIRE(block != nullptr);
  FillPattern(block, size, 1);
}

char* AlignUp(void* block) {
  return reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(block) + 4095) & ~uintptr_t{4095});
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library != nullptr);
  const auto take = reinterpret_cast<void* (*)(size_t)>(dlsym(library, "Take"));
  const auto grow = reinterpret_cast<void* (*)(void*, size_t)>(dlsym(library, "Grow"));
  const auto give = reinterpret_cast<void (*)(void*)>(dlsym(library, "Give"));
  REQUIRE(take != nullptr && grow != nullptr && give != nullptr);

  constexpr size_t kLarge = 3 << 20;
  constexpr size_t kHuge = 40 << 20;
  void* const own[] = {malloc(kHuge), malloc(kLarge)};
  Fill(own[0], kHuge);
  Fill(own[1], kLarge);
  void* const little = take(1000);
  Fill(little, 1000);
  REQUIRE_COMPARE(AskedMappings(), ==, 0);

  void* huge = take(kHuge);
  Fill(huge, kHuge);
  huge = grow(huge, kHuge + kLarge);
  REQUIRE(huge != nullptr && HasPattern(huge, kHuge, 1));
  constexpr int kBlocks = 12;
  void* blocks[kBlocks];
  for (void*& block : blocks) {
    block = take(kLarge);
    Fill(block, kLarge);
  }
  if (std::string(argv[2]) == "some") {
    REQUIRE_COMPARE(AskedMappings(huge), ==, 1);
    for (void* const block : blocks) REQUIRE_COMPARE(AskedMappings(block), ==, 1);
  } else {
    REQUIRE_COMPARE(AskedMappings(), ==, 0);
  }
  for (void* const block : blocks) {
    REQUIRE(HasPattern(block, kLarge, 1));
    give(block);
  }
  // A segment is asked for once: what the program asks after that is as it says.
  void* const again = take(kLarge);
  Fill(again, kLarge);
  REQUIRE(madvise(AlignUp(again), kLarge / 2, MADV_NOHUGEPAGE) == 0);
  void* const next = take(kLarge);
  REQUIRE_COMPARE(AskedMappings(AlignUp(again)), ==, 0);
  for (void* const block : {again, next}) give(block);
  give(huge);
  give(little);
  free(own[0]);
  free(own[1]);
}
