// Libraries that allocate and go, one in the place of the other:
//
//   library_unloaded swap A B        A takes 3 MiB and goes, B comes to its place and takes 2 MiB
//   library_unloaded back A B        the same, then B goes, and A comes again and takes 1 MiB
//   library_unloaded churn A B       A and B come and go 200 times; each keeps 20 KiB of each time,
//                                    while threads do the same with A
//   library_unloaded stays A         A takes 3 MiB
//   library_unloaded hidden A        A's first page cannot be read; it takes 3 MiB and goes
//   library_unloaded deleted A [B]   the same; then its file is deleted, or replaced by B
// Ends holding that.
#include <dlfcn.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include "tests/programs/support/blocks.h"
#include "tests/programs/support/check.h"

namespace {

using TakeFunction = void* (*)(size_t);

struct Library {
  void* handle;
  TakeFunction take;
};

Library Open(const char* path) {
  Library library;
  library.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  REQUIRE(library.handle != nullptr);
  library.take = reinterpret_cast<TakeFunction>(dlsym(library.handle, "Take"));
  REQUIRE(library.take != nullptr);
  return library;
}

void Keep(const Library& library, size_t bytes) { REQUIRE(library.take(bytes) != nullptr); }
void Close(const Library& library) { REQUIRE(dlclose(library.handle) == 0); }

void Swap(const char* a, const char* b, bool comes_back) {
  const Library first = Open(a);
  for (int i = 0; i < 3; ++i) Keep(first, kMiB);
  Close(first);
  const Library second = Open(b);
  REQUIRE(second.take == first.take);
  for (int i = 0; i < 2; ++i) Keep(second, kMiB);
  if (!comes_back) return;
  Close(second);
  const Library third = Open(a);
  REQUIRE(third.take == first.take);
  Keep(third, kMiB);
}

void Churn(const char* a, const char* b) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([a] {
      for (int i = 0; i < 100; ++i) {
        const Library library = Open(a);
        for (int k = 0; k < 20; ++k) free(library.take(1024));
        Close(library);
      }
    });
  }
  for (int i = 0; i < 200; ++i) {
    for (const char* path : {a, b}) {
      const Library library = Open(path);
      for (int k = 0; k < 20; ++k) Keep(library, 1024);
      Close(library);
    }
  }
  for (std::thread& thread : threads) thread.join();
}

void Stays(const char* a) {
  const Library library = Open(a);
  for (int i = 0; i < 3; ++i) Keep(library, kMiB);
}

void Hidden(const char* a) {
  const Library library = Open(a);
  Dl_info info;
  REQUIRE(dladdr(reinterpret_cast<void*>(library.take), &info) != 0);
  REQUIRE(mprotect(info.dli_fbase, 4096, PROT_NONE) == 0);
  for (int i = 0; i < 3; ++i) Keep(library, kMiB);
  Close(library);
}

void Deleted(const char* a, const char* b) {
  Stays(a);
  std::filesystem::remove(a);
  if (b != nullptr) std::filesystem::copy_file(b, a);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc >= 3);
  const char* const second = argc > 3 ? argv[3] : nullptr;
  if (strcmp(argv[1], "stays") == 0) Stays(argv[2]);
  if (strcmp(argv[1], "swap") == 0) Swap(argv[2], second, false);
  if (strcmp(argv[1], "back") == 0) Swap(argv[2], second, true);
  if (strcmp(argv[1], "churn") == 0) Churn(argv[2], second);
  if (strcmp(argv[1], "hidden") == 0) Hidden(argv[2]);
  if (strcmp(argv[1], "deleted") == 0) Deleted(argv[2], second);
  return 0;
}
