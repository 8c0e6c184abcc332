// Mappings made by libc's own functions, however they are reached, are charged, refused and
// credited as all others; what libc maps for itself, a thread's stack, is nobody's.
#include "tests/programs/mappings/libc_mapping_calls.h"

#include <dlfcn.h>
#include <pthread.h>

#include "tests/programs/support/mappings.h"

namespace {

constexpr uint64_t kQuota = 200 * kMiB;

MappingCalls FindByHandle() {
  void* const libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(libc != nullptr);
  MappingCalls calls;
  calls.map = reinterpret_cast<decltype(calls.map)>(dlsym(libc, "mmap"));
  calls.unmap = reinterpret_cast<decltype(calls.unmap)>(dlsym(libc, "munmap"));
  calls.remap = reinterpret_cast<decltype(calls.remap)>(dlsym(libc, "mremap"));
  calls.protect = reinterpret_cast<decltype(calls.protect)>(dlsym(libc, "mprotect"));
  calls.advise = reinterpret_cast<decltype(calls.advise)>(dlsym(libc, "madvise"));
  calls.move_break = reinterpret_cast<decltype(calls.move_break)>(dlsym(libc, "sbrk"));
  return calls;
}

void* Nothing(void* argument) { return argument; }

uint64_t g_base = 0;

// To a whole MiB: the rest is what malloc holds.
uint64_t Mapped() {
  taskmem_sample_residency();
  return (Charged(kTask) - g_base + kMiB / 2) / kMiB;
}

void Use(const MappingCalls& calls) {
  Begin(kTask, kQuota);
  Attach(kTask);
  free(malloc(100));
  g_base = Charged(kTask);
  const auto map = [&](uint64_t mib, int protection) {
    return calls.map(nullptr, mib * kMiB, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  void* at = map(64, PROT_READ | PROT_WRITE);
  REQUIRE(at != MAP_FAILED);
  REQUIRE_COMPARE(Mapped(), ==, 64);
  REQUIRE_COMPARE(OwnerOf(at), ==, kTask);
  errno = 0;
  REQUIRE(map(160, PROT_READ | PROT_WRITE) == MAP_FAILED && errno == ENOMEM);
  at = calls.remap(at, 64 * kMiB, 96 * kMiB, MREMAP_MAYMOVE);
  REQUIRE(at != MAP_FAILED);
  REQUIRE_COMPARE(Mapped(), ==, 96);
  void* const reserved = map(32, PROT_NONE);
  REQUIRE(reserved != MAP_FAILED);
  REQUIRE_COMPARE(Mapped(), ==, 96);
  REQUIRE(calls.protect(reserved, 32 * kMiB, PROT_READ | PROT_WRITE) == 0);
  REQUIRE_COMPARE(Mapped(), ==, 128);
  REQUIRE(calls.advise(reserved, 32 * kMiB, MADV_DONTNEED) == 0);
  REQUIRE_COMPARE(Mapped(), ==, 96);
  void* const old_break = calls.move_break(16 * kMiB);
  REQUIRE(old_break != reinterpret_cast<void*>(-1));
  memset(old_break, 1, 16 * kMiB);
  REQUIRE_COMPARE(Mapped(), ==, 112);
  REQUIRE(calls.move_break(-static_cast<intptr_t>(16 * kMiB)) != reinterpret_cast<void*>(-1));
  REQUIRE(calls.unmap(at, 96 * kMiB) == 0);
  REQUIRE(calls.unmap(reserved, 32 * kMiB) == 0);
  REQUIRE_COMPARE(Mapped(), ==, 0);
  errno = 0;
  REQUIRE(calls.unmap(reinterpret_cast<void*>(1), 4096) == -1 && errno == EINVAL);
  // The stack of a thread has 8 MiB, of which a charge by length would be seen.
  pthread_t thread;
  REQUIRE(pthread_create(&thread, nullptr, Nothing, nullptr) == 0);
  REQUIRE_COMPARE(Mapped(), ==, 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
  Detach();
  End(kTask);
}

}  // namespace

int main(int argc, char** argv) {
  REQUIRE(argc > 2);
  const bool deep = strcmp(argv[2], "deepbind") == 0;
  void* const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | (deep ? RTLD_DEEPBIND : 0));
  REQUIRE(library != nullptr);
  auto* const find = reinterpret_cast<void (*)(bool, MappingCalls*)>(dlsym(library, "FindCalls"));
  REQUIRE(find != nullptr);
  MappingCalls calls;
  find(strcmp(argv[2], "next") == 0, &calls);
  if (strcmp(argv[2], "handle") == 0) calls = FindByHandle();
  Use(calls);
}
